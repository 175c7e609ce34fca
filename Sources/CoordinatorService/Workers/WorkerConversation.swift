import Supervision
import WireProtocol
import ZeroMQ

/// The conversation with a worker that greeted.
struct WorkerConversation {
    /// The connection over which it speaks.
    let peer: RoutingIdentity
    let hello: WorkerHello
    private(set) var finishedUnits = 0
    /// Units that it finished in the last minutes.
    private(set) var rate = MinuteCounts(minutes: Coordinator.rateMinutes)
    /// Blobs that it told of, without those that it took back.
    private(set) var toldBlobs = 0
    /// Words of this connection that could not be right.
    private(set) var refusedWords = 0
    private var lastSign: ContinuousClock.Instant?

    /// Blobs of a worker that the scheduler is told of.
    static let toldBlobsMax = 1 << 19
    /// Words of one connection that could not be right, at which it ends.
    static let refusedWordsMax = 3
    /// How often a sign of life is passed on: a busy transfer gives many.
    static let signInterval: Duration = .milliseconds(200)

    /// Begins with a greeting, or goes on after an earlier one.
    init(_ hello: WorkerHello, _ peer: RoutingIdentity, after former: WorkerConversation? = nil) {
        self.peer = peer
        self.hello = hello
        guard let former else { return }
        (finishedUnits, rate) = (former.finishedUnits, former.rate)
        if !former.isReplaced(by: hello, peer) { toldBlobs = former.toldBlobs }
        if former.peer == peer { refusedWords = former.refusedWords }
    }

    /// Whether a greeting comes by another connection: what was under way on the last one may be lost.
    func isReplaced(by hello: WorkerHello, _ peer: RoutingIdentity) -> Bool {
        self.peer != peer || self.hello.connection != hello.connection
    }

    /// It has finished a unit.
    mutating func countFinishedUnit(at sinceStart: Duration) {
        finishedUnits += 1
        rate.add(at: sinceStart)
    }

    /// Any word is a sign of life.
    ///
    /// - Returns: Whether it is to be passed on.
    mutating func noteSign(at now: ContinuousClock.Instant) -> Bool {
        if let lastSign, now - lastSign < Self.signInterval { return false }
        lastSign = now
        return true
    }

    /// What becomes of blobs that a worker tells of.
    enum HeldBlobs {
        /// They are remembered.
        case remembered
        /// They are the first beyond the bound, and of no use to others, as all that follow.
        case firstBeyondBound
        case beyondBound
    }

    /// It tells of blobs that it has.
    mutating func noteHeld(_ count: Int) -> HeldBlobs {
        let before = toldBlobs
        toldBlobs = min(before + count, Self.toldBlobsMax + 1)
        if before + count <= Self.toldBlobsMax { return .remembered }
        return before <= Self.toldBlobsMax ? .firstBeyondBound : .beyondBound
    }

    /// It does not have these blobs any more.
    mutating func noteDropped(_ count: Int) { toldBlobs = max(toldBlobs - count, 0) }

    /// It said something that cannot be right.
    ///
    /// - Returns: Whether the conversation is over.
    mutating func noteRefusedWord() -> Bool {
        refusedWords += 1
        return refusedWords >= Self.refusedWordsMax
    }
}
