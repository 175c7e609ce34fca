import Identifiers
import LinearAlgebra
import Synchronization
import Testing
import WireProtocol
import ZeroMQ

@testable import Messaging

/// The client's side of a stream of rows.
@Suite(.timeLimit(.minutes(5))) struct RowStreamTests {
    private let context: Context
    private static let offer = PushOffer(
        run: "monday", place: PartialsPlace(rank: 1, sequence: 2), host: "here",
        content: .rows(
            RowStreamOffer(
                metadata: ["task": "digits"],
                sums: [
                    RowStreamOffer.Sum(tensors: ["q.A", "k.A"], columns: 2),
                    RowStreamOffer.Sum(tensors: ["q.B"], columns: 1),
                ])))

    init() throws { context = try Context() }

    /// Batches of rows; a client asks for one after the other.
    private final class Source: Sendable {
        private let batches: Mutex<ArraySlice<RowBatch>>
        private let asked = Mutex(0)

        init(_ batches: [RowBatch]) { self.batches = Mutex(batches[...]) }

        /// How many times a batch was asked for.
        var count: Int { asked.withLock { $0 } }

        func next() -> RowBatch? {
            asked.withLock { $0 += 1 }
            return batches.withLock { $0.popFirst() }
        }
    }

    private static func batch(_ sum: Int, rows: Int, _ type: ElementType = .f32) -> RowBatch {
        let byteCount = rows * (sum == 0 ? 2 : 1) * type.byteCount
        return RowBatch(
            sum: sum, elementType: type, rowCount: rows, bytes: Frame([UInt8](repeating: UInt8(sum), count: byteCount)))
    }

    private static func state(_ offset: UInt64, credit: Int, isWhole: Bool = false) -> ClientReply {
        .push(PushState(offset: offset, credit: credit, isWhole: isWhole))
    }

    private func send(
        _ source: Source, to coordinator: ScriptedCoordinator, timeout: Duration = .seconds(60)
    ) -> Task<ClientConnection.RowStreamOutcome, any Error> {
        // Task because the test answers meanwhile.
        Task {
            try await coordinator.client.sendRows(
                Self.offer, timeout: timeout, rows: { source.next() }, commit: { ["samples": "3"] })
        }
    }

    @Test func `rows are numbered by sum, within the credit, and committed after the last answer`() async throws {
        let coordinator = try await ScriptedCoordinator(context)
        let source = Source([Self.batch(0, rows: 3), Self.batch(1, rows: 5, .bf16), Self.batch(0, rows: 2)])
        let outcome = send(source, to: coordinator)
        let offer = try await coordinator.next()
        #expect(offer.body == .pushOffer(Self.offer))
        #expect(source.count == 0)
        await coordinator.answer(offer, Self.state(0, credit: 2))
        let first = try await coordinator.next()
        #expect(first.body == .pushRows(PushedRows(sum: 0, firstRow: 0, elementType: .f32)))
        #expect(first.number == offer.number && first.payload == [UInt8](repeating: 0, count: 24))
        let second = try await coordinator.next()
        #expect(second.body == .pushRows(PushedRows(sum: 1, firstRow: 0, elementType: .bf16)))
        #expect(second.payload == [UInt8](repeating: 1, count: 10))
        #expect(source.count == 2)
        await coordinator.answer(second, Self.state(10, credit: 2))
        let third = try await coordinator.next()
        #expect(third.body == .pushRows(PushedRows(sum: 0, firstRow: 3, elementType: .f32)))
        await coordinator.answer(first, Self.state(34, credit: 2))
        await coordinator.answer(third, Self.state(50, credit: 2))
        let commit = try await coordinator.next()
        #expect(commit.body == .pushCommit(metadata: ["samples": "3"]) && commit.number == offer.number)
        await coordinator.answer(commit, .progress("sums are on their way"))
        await coordinator.answer(commit, Self.state(50, credit: 0, isWhole: true))
        #expect(try await outcome.value == .whole(sentBytes: 50))
        await coordinator.close()
    }

    @Test func `a lower credit stops the rows until enough answers have come`() async throws {
        let coordinator = try await ScriptedCoordinator(context)
        let source = Source((0..<6).map { _ in Self.batch(1, rows: 1) })
        let outcome = send(source, to: coordinator)
        let offer = try await coordinator.next()
        await coordinator.answer(offer, Self.state(0, credit: 3))
        for _ in 0..<3 { _ = try await coordinator.next() }
        for offset in [4, 8] as [UInt64] { await coordinator.answer(offer, Self.state(offset, credit: 1)) }
        await coordinator.answer(offer, .progress("both answers are read before this one"))
        await coordinator.answer(offer, Self.state(12, credit: 1))
        #expect(try await coordinator.next().body == .pushRows(PushedRows(sum: 1, firstRow: 3, elementType: .f32)))
        #expect(source.count == 4)
        await coordinator.answer(offer, .failure(RequestFailure(kind: .world, at: "here", "the test ends.")))
        #expect(
            try await outcome.value == .refused(RequestFailure(kind: .world, at: "here", "the test ends.")))
        await coordinator.close()
    }

    @Test func `sums that are there need no rows`() async throws {
        let coordinator = try await ScriptedCoordinator(context)
        let source = Source([Self.batch(0, rows: 1)])
        let outcome = send(source, to: coordinator)
        await coordinator.answer(try await coordinator.next(), Self.state(0, credit: 0, isWhole: true))
        #expect(try await outcome.value == .whole(sentBytes: 0))
        #expect(source.count == 0)
        await coordinator.close()
    }

    @Test func `a stream without rows is committed at once`() async throws {
        let coordinator = try await ScriptedCoordinator(context)
        let outcome = send(Source([]), to: coordinator)
        let offer = try await coordinator.next()
        await coordinator.answer(offer, Self.state(0, credit: 4))
        let commit = try await coordinator.next()
        #expect(commit.body == .pushCommit(metadata: ["samples": "3"]))
        await coordinator.answer(commit, Self.state(0, credit: 0, isWhole: true))
        #expect(try await outcome.value == .whole(sentBytes: 0))
        await coordinator.close()
    }

    @Test func `a lost connection ends the attempt, and the next one begins again under a new number`() async throws {
        let coordinator = try await ScriptedCoordinator(context)
        let outcome = send(Source([Self.batch(0, rows: 1), Self.batch(0, rows: 1)]), to: coordinator)
        let offer = try await coordinator.next()
        await coordinator.answer(offer, Self.state(0, credit: 1))
        _ = try await coordinator.next()
        let address = coordinator.endpoint.endpoint
        await coordinator.endpoint.close()
        #expect(try await outcome.value == .interrupted(reason: "the connection to the coordinator broke"))
        let other = try await CoordinatorEndpoint.bind(address, context: context)
        let again = send(Source([Self.batch(0, rows: 1)]), to: coordinator)
        guard case .message(.request(let number, let body), _, let peer) = await other.next() else {
            Issue.record("no request arrived")
            return
        }
        #expect(body == .pushOffer(Self.offer) && number != offer.number)
        _ = await other.send(.reply(number, Self.state(0, credit: 0, isWhole: true)), to: peer)
        #expect(try await again.value == .whole(sentBytes: 0))
        await coordinator.client.close()
        await other.close()
    }

    @Test func `a silent coordinator ends the attempt`() async throws {
        let coordinator = try await ScriptedCoordinator(context)
        let outcome = send(Source([]), to: coordinator, timeout: .milliseconds(100))
        #expect(
            try await outcome.value == .interrupted(reason: "the coordinator did not answer within 0.1 seconds"))
        await coordinator.close()
    }

    @Test func `an error of the source ends the attempt with it`() async throws {
        struct Flaw: Error {}
        let coordinator = try await ScriptedCoordinator(context)
        // Task because the test answers meanwhile.
        let outcome = Task {
            try await coordinator.client.sendRows(
                Self.offer, timeout: .seconds(60), rows: { throw Flaw() }, commit: { [:] })
        }
        await coordinator.answer(try await coordinator.next(), Self.state(0, credit: 1))
        await #expect(throws: Flaw.self) { try await outcome.value }
        await coordinator.close()
    }
}
