import Supervision
import WireProtocol
import ZeroMQ

/// The conversation with a worker that greeted.
struct WorkerConversation {
    /// The worker's connection.
    let peer: RoutingIdentity
    let hello: WorkerHello
    private(set) var finishedUnits = 0
    /// The units that the worker finished in the last minutes.
    private(set) var rate = MinuteCounts(minutes: Coordinator.rateMinutes)
    /// The number of blobs that the worker reported and has not dropped.
    private(set) var toldBlobs = 0
    /// The number of impossible messages of this connection.
    private(set) var refusedWords = 0
    private var lastSign: ContinuousClock.Instant?

    /// The most blobs of a worker that the scheduler knows of.
    static let toldBlobsMax = 1 << 19
    /// A connection ends at this number of impossible messages.
    static let refusedWordsMax = 3
    /// The shortest time between two signs of life that are passed on, because a busy transfer gives many.
    static let signInterval: Duration = .milliseconds(200)

    /// Begins a conversation with a greeting, or continues an earlier conversation.
    init(_ hello: WorkerHello, _ peer: RoutingIdentity, after former: WorkerConversation? = nil) {
        self.peer = peer
        self.hello = hello
        guard let former else { return }
        (finishedUnits, rate) = (former.finishedUnits, former.rate)
        if !former.isReplaced(by: hello, peer) { toldBlobs = former.toldBlobs }
        if former.peer == peer { refusedWords = former.refusedWords }
    }

    /// Whether a greeting comes over another connection.
    ///
    /// Messages on the old connection may then be lost.
    func isReplaced(by hello: WorkerHello, _ peer: RoutingIdentity) -> Bool {
        self.peer != peer || self.hello.connection != hello.connection
    }

    /// Counts a finished unit.
    mutating func countFinishedUnit(at sinceStart: Duration) {
        finishedUnits += 1
        rate.add(at: sinceStart)
    }

    /// Notes a message, which is a sign of life.
    ///
    /// - Returns: Whether the sign is passed on.
    mutating func noteSign(at now: ContinuousClock.Instant) -> Bool {
        if let lastSign, now - lastSign < Self.signInterval { return false }
        lastSign = now
        return true
    }

    /// The result of a report of blobs.
    enum HeldBlobs {
        /// The blobs are remembered.
        case remembered
        /// The blobs are the first beyond the bound. Other workers cannot use them or later ones.
        case firstBeyondBound
        case beyondBound
    }

    /// Counts blobs that the worker reports.
    mutating func noteHeld(_ count: Int) -> HeldBlobs {
        let before = toldBlobs
        toldBlobs = min(before + count, Self.toldBlobsMax + 1)
        if before + count <= Self.toldBlobsMax { return .remembered }
        return before <= Self.toldBlobsMax ? .firstBeyondBound : .beyondBound
    }

    /// Counts blobs that the worker has dropped.
    mutating func noteDropped(_ count: Int) { toldBlobs = max(toldBlobs - count, 0) }

    /// Counts an impossible message.
    ///
    /// - Returns: Whether the conversation is over.
    mutating func noteRefusedWord() -> Bool {
        refusedWords += 1
        return refusedWords >= Self.refusedWordsMax
    }
}
