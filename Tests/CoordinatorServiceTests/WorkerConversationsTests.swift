import Identifiers
import JobPlan
import Testing
import UnitOperations
import WireProtocol
import ZeroMQ

@testable import CoordinatorService

/// The conversations with workers, without a socket.
@Suite struct WorkerConversationsTests {
    private var conversations = WorkerConversations()
    private let (one, two): (RoutingIdentity, RoutingIdentity)

    init() throws {
        (one, two) = (try RoutingIdentity("one"), try RoutingIdentity("two"))
    }

    private func hello(_ worker: WorkerID, connection: UInt32 = 0) -> WorkerHello {
        WorkerHello(
            worker: worker, host: "host", lanes: 1, memoryBytes: 1, regime: .unnamed, build: "test",
            connection: connection)
    }

    private func finished(_ unit: Int) -> WorkerMessage {
        .finished(
            LeasedUnit(UnitReference(job: "job-1", unit: UnitIndex(unit)), Attempt(1)), UnitResult(),
            elapsedSeconds: 1, kernelSeconds: 1)
    }

    /// The result of an accepted greeting.
    private struct Welcome: Equatable {
        var formerPeer: RoutingIdentity?
        var isNewConnection = false
        var units: [Int] = []
    }

    private struct Refused: Error {}

    private mutating func greet(_ hello: WorkerHello, _ peer: RoutingIdentity) throws -> Welcome {
        guard case .welcomed(let former, let isNew, let results) = conversations.greet(hello, peer) else {
            throw Refused()
        }
        return Welcome(formerPeer: former, isNewConnection: isNew, units: results.map(\.unit.unit.unit.position))
    }

    private mutating func givesSign(_ worker: WorkerID, _ instant: ContinuousClock.Instant) -> Bool {
        conversations.noteSign(of: worker, at: instant)
    }

    private mutating func endsByRefusedWord(_ worker: WorkerID) -> Bool {
        conversations.noteRefusedWord(of: worker, at: .now).isOver
    }

    @Test mutating func `a stranger becomes a worker by its greeting, and a stranger again when it is gone`() throws {
        #expect(conversations.worker(at: one) == nil)
        _ = try greet(hello("w"), one)
        #expect(conversations.worker(at: one) == "w")
        #expect(conversations.forget("w") == one)
        #expect(conversations.worker(at: one) == nil)
        #expect(conversations.forget("w") == nil)
    }

    @Test mutating func `what a stranger has finished is kept until it greets`() throws {
        conversations.hear(finished(3), fromStranger: one)
        conversations.hear(.goodbye(reason: ""), fromStranger: one)
        conversations.hear(finished(5), fromStranger: one)
        #expect(try greet(hello("other"), two).units == [])
        #expect(try greet(hello("w"), one).units == [3, 5])
        #expect(try greet(hello("w"), one).units == [])
    }

    @Test mutating func `a connection has one name`() throws {
        _ = try greet(hello("w"), one)
        guard case .refused(former: "w") = conversations.greet(hello("v"), one) else {
            Issue.record("the second name was taken in")
            return
        }
        #expect(conversations["v"] == nil)
        #expect(conversations.worker(at: one) == "w")
    }

    @Test mutating func `of two connections the later is the worker's`() throws {
        #expect(try greet(hello("w"), one) == Welcome())
        #expect(try greet(hello("w"), one) == Welcome())
        #expect(try greet(hello("w"), two) == Welcome(formerPeer: one, isNewConnection: true))
        #expect(conversations.worker(at: one) == nil)
        #expect(conversations.worker(at: two) == "w")
        // The peer is the same, but the connection is new.
        #expect(try greet(hello("w", connection: 1), two) == Welcome(isNewConnection: true))
    }

    @Test mutating func `a new connection begins with no blobs and no refused words, and keeps its units`() throws {
        _ = try greet(hello("w"), one)
        conversations.countFinishedUnit(of: "w", at: .zero)
        #expect(conversations.noteHeld(WorkerConversation.toldBlobsMax, by: "w") == .remembered)
        #expect(conversations.noteHeld(1, by: "w") == .firstBeyondBound)
        #expect(conversations.noteHeld(1, by: "w") == .beyondBound)
        #expect(!endsByRefusedWord("w"))
        #expect(!endsByRefusedWord("w"))
        _ = try greet(hello("w"), two)
        #expect(conversations["w"]?.finishedUnits == 1)
        #expect(conversations.noteHeld(1, by: "w") == .remembered)
        #expect(!endsByRefusedWord("w"))
        #expect(!endsByRefusedWord("w"))
        #expect(endsByRefusedWord("w"))
    }

    @Test mutating func `many words are one sign of life`() throws {
        _ = try greet(hello("w"), one)
        let start = ContinuousClock.now
        #expect(givesSign("w", start))
        #expect(!givesSign("w", start + .milliseconds(199)))
        #expect(givesSign("w", start + .milliseconds(200)))
        #expect(!givesSign("nobody", start))
    }

    @Test mutating func `who speaks before it greets may know units of an earlier life`() throws {
        let unit = LeasedUnit(UnitReference(job: "job-1", unit: UnitIndex(0)), Attempt(1))
        conversations.hear(finished(0), fromStranger: one)
        _ = try greet(hello("w"), one)
        _ = try greet(hello("v"), two)
        #expect(conversations.judge(unit, of: "w", isPossible: nil) == .outdated)
        #expect(conversations.judge(unit, of: "v", isPossible: nil) == .forged)
    }
}
