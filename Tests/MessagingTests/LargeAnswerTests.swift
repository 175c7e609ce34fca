import Identifiers
import Synchronization
import Testing
import WireProtocol
import ZeroMQ

@testable import Messaging

/// Answers that are too large for a message, and answers that never come.
@Suite(.timeLimit(.minutes(5))) struct LargeAnswerTests {
    private let context: Context

    init() throws { context = try Context() }

    @Test func `an answer that is too large is told to the client and to whoever watches`() async throws {
        let told = Mutex<[String]>([])
        let endpoint = try await CoordinatorEndpoint.bind(
            try Endpoint("tcp://127.0.0.1:0"), context: context,
            onUnsendable: { _, error in told.withLock { $0.append("\(error)") } })
        let client = try await ClientConnection.connect(to: endpoint.endpoint, context: context)
        async let answer = client.ask(.outputs("job-1"), timeout: .seconds(60))
        guard case .message(.request(let number, .outputs), _, let peer) = await endpoint.next() else {
            Issue.record("the question did not arrive")
            return
        }
        let files = (0..<300_000).map { OutputFile(path: "factors/\($0).safetensors", byteCount: 1) }
        #expect(await endpoint.send(.reply(number, .outputs(files)), to: peer) == false)
        guard case .failure(let failure) = try await answer.reply else {
            Issue.record("the client was not told")
            return
        }
        #expect(failure.kind == .world)
        #expect(failure.description.contains("the answer is too large"))
        #expect(told.withLock { $0 } == ["\(WireError.tooManyFields)"])
        #expect(endpoint.unsendableMessages == 1)
        await client.close()
        await endpoint.close()
    }

    @Test func `an answer that cannot be read ends the wait at once`() async throws {
        let router = try await MessageChannel.bind(try Endpoint("tcp://127.0.0.1:0"), context: context)
        let client = try await ClientConnection.connect(to: router.endpoint, context: context)
        let asking = Task { try await client.ask(.jobs, timeout: .seconds(600)) }
        let question = try await router.receive()
        try await router.send(Message(to: question.routingIdentity, [Frame([1, 2, 3])]))
        await #expect(throws: MessagingError.self) { try await asking.value }
        await client.close()
        await router.close()
    }

    @Test(arguments: [false, true])
    func `every question ends in an error, whatever the other side does`(accepts: Bool) async throws {
        // One listener sends nothing at all. The other completes the handshake and never answers.
        let router = try await MessageChannel.bind(try Endpoint("tcp://127.0.0.1:0"), context: context)
        let silent = try SilentListener()
        let address = accepts ? router.endpoint : try Endpoint("tcp://127.0.0.1:\(silent.port)")
        let client = try await ClientConnection.connect(to: address, context: context)
        for request in [ClientRequest.jobs, .workers, .status("job-1"), .outputs("job-1"), .cancel("job-1")] {
            await #expect(throws: MessagingError.self) { try await client.ask(request, timeout: .milliseconds(200)) }
        }
        await client.close()
        await router.close()
    }
}
