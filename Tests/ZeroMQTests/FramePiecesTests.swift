import Testing
import ZeroMQ

/// Frames that are larger than a wire frame may be.
@Suite(.timeLimit(.minutes(5)))
struct FramePiecesTests {
    private static let piece = SocketOptions().maximumFrameBytes

    @Test(arguments: [0, 1, piece - 1, piece, piece + 1, 2 * piece, 2 * piece + 1, 20 * piece + 7])
    func `frames of every size arrive as they were sent, in both directions`(byteCount: Int) async throws {
        let context = try Context()
        let router = try await MessageChannel.bind(Endpoint("tcp://127.0.0.1:0"), context: context)
        let dealer = try await MessageChannel.connect(router.endpoint, context: context)
        let frame = Frame((0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) })
        for frames in [[frame], [frame, frame], ["a", frame, "b"], [frame, ""], ["", frame]] {
            try await dealer.send(Message(frames))
            let received = try await router.receive()
            #expect(received.frames == frames)
            try await router.send(received)
            #expect(try await dealer.receive().frames == frames)
        }
        await dealer.close()
        await router.close()
    }

    @Test func `a frame in pieces counts as one, and its bytes all together`() {
        var limits = ChannelLimits()
        (limits.framesPerMessage, limits.messageBytes) = (1, 25)
        func assembled(_ pieces: [Int]) -> Result<Message, MessageAssembly.Problem> {
            var assembly = MessageAssembly(
                limits: limits, isIdentityFirst: false, hasAuthenticator: false, pieceBytes: 10)
            for count in pieces { assembly.append(Frame([UInt8](repeating: 1, count: count)), user: nil) }
            return assembly.finish()
        }
        #expect((try? assembled([10, 10, 5]).get())?.frames.map(\.byteCount) == [25])
        #expect((try? assembled([10, 10]).get())?.frames.map(\.byteCount) == [20])
        #expect((try? assembled([10, 0]).get())?.frames.map(\.byteCount) == [10])
        for (pieces, reason) in [
            ([10, 10, 6], MalformedMessage.tooLarge(byteCount: 26, limit: 25)),
            ([10, 10, 10, 10], .tooLarge(byteCount: 40, limit: 25)),
            ([10, 5, 5], .tooManyFrames(count: 2, limit: 1)),
            ([], .empty),
        ] {
            guard case .failure(let problem) = assembled(pieces) else {
                Issue.record("\(pieces) was taken")
                continue
            }
            #expect(problem.reason == reason)
        }
    }
}
