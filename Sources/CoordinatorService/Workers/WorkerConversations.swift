import Identifiers
import JobPlan
import Scheduling
import WireProtocol
import ZeroMQ

/// The conversations with workers, and what their words are judged by.
///
/// A connection is that of a stranger until its worker greets, and again when the worker was given up; of a stranger
/// only the greeting is taken in, and results are kept until it comes.
struct WorkerConversations {
    /// What is to be made of a greeting.
    enum Greeting {
        /// The connection greeted under another name before.
        case refused(former: WorkerID)
        /// The worker is here.
        ///
        /// - `formerPeer`: its former connection, where that is another.
        /// - `isNewConnection`: what was under way on the last one may be lost.
        /// - `results`: what it had finished before it greeted.
        case welcomed(formerPeer: RoutingIdentity?, isNewConnection: Bool, results: [EarlyResults.EarlyResult])
    }

    /// Workers that greeted and were not given up.
    private(set) var workers: [WorkerID: WorkerConversation] = [:]
    private var names: [RoutingIdentity: WorkerID] = [:]
    /// What workers were given.
    var given = GivenLeases()
    /// Running jobs that were taken up from the journal: workers may know them from an earlier life.
    var resumedJobs: Set<JobID> = []
    private var refusals = RefusalLog()
    private var earlyResults = EarlyResults()
    /// Strangers that have said something: their workers come from an earlier life, or were given up.
    ///
    /// Bound: ``EarlyResults/countMax`` connections.
    private var speakers: [RoutingIdentity] = []

    subscript(worker: WorkerID) -> WorkerConversation? { workers[worker] }

    /// The worker that greeted by a connection.
    func worker(at peer: RoutingIdentity) -> WorkerID? { names[peer] }

    /// Takes in a stranger's word, which has to greet first.
    mutating func hear(_ message: WorkerMessage, fromStranger peer: RoutingIdentity) {
        if !speakers.contains(peer) { speakers = speakers.suffix(EarlyResults.countMax - 1) + [peer] }
        // What it has finished meanwhile is still worth having.
        if case .finished(let unit, let result, let elapsed, let kernels) = message {
            let timing = UnitTiming(elapsedSeconds: elapsed, kernelSeconds: kernels)
            earlyResults.keep(.init(peer: peer, unit: unit, result: result, timing: timing))
        }
    }

    /// Takes in a greeting: of two connections that greet as one worker, the later is the worker's.
    mutating func greet(_ hello: WorkerHello, _ peer: RoutingIdentity) -> Greeting {
        if let other = names[peer], other != hello.worker { return .refused(former: other) }
        let former = workers[hello.worker]
        let formerPeer = former.flatMap { $0.peer == peer ? nil : $0.peer }
        if let formerPeer { names[formerPeer] = nil }
        workers[hello.worker] = WorkerConversation(hello, peer, after: former)
        names[peer] = hello.worker
        let hasSpoken = speakers.contains(peer)
        speakers.removeAll { $0 == peer }
        given.greet(hello.worker, lanes: hello.lanes, isReturn: hasSpoken || hello.connection > 0)
        return .welcomed(
            formerPeer: formerPeer, isNewConnection: former?.isReplaced(by: hello, peer) ?? false,
            results: earlyResults.take(from: peer))
    }

    /// Ends the conversation with a worker that is gone.
    ///
    /// - Returns: Its connection, which is a stranger's from now on.
    mutating func forget(_ worker: WorkerID) -> RoutingIdentity? {
        guard let peer = workers.removeValue(forKey: worker)?.peer else { return nil }
        names[peer] = nil
        return peer
    }

    // MARK: - What a worker says

    /// Whether a worker's word is a sign of life that is to be passed on.
    mutating func noteSign(of worker: WorkerID, at now: ContinuousClock.Instant) -> Bool {
        workers[worker]?.noteSign(at: now) ?? false
    }

    /// A worker tells of blobs that it has.
    mutating func noteHeld(_ count: Int, by worker: WorkerID) -> WorkerConversation.HeldBlobs {
        workers[worker]?.noteHeld(count) ?? .beyondBound
    }

    /// A worker does not have blobs any more.
    mutating func noteDropped(_ count: Int, by worker: WorkerID) { workers[worker]?.noteDropped(count) }

    /// A worker has finished a unit.
    mutating func countFinishedUnit(of worker: WorkerID, at sinceStart: Duration) {
        workers[worker]?.countFinishedUnit(at: sinceStart)
    }

    /// A worker said something that cannot be right.
    ///
    /// - Returns: Whether its conversation is over, and what the log gets of the word.
    mutating func noteRefusedWord(
        of worker: WorkerID, at now: ContinuousClock.Instant
    ) -> (isOver: Bool, line: RefusalLog.Line) {
        let line = refusals.note(at: now)
        return (workers[worker]?.noteRefusedWord() ?? false, line)
    }

    /// What is to be made of a worker's word about a unit.
    mutating func judge(_ unit: LeasedUnit, of worker: WorkerID, isPossible: Bool?) -> GivenLeases.Verdict {
        given.judge(unit, of: worker, isPossible: isPossible, isResumed: resumedJobs.contains(unit.unit.job))
    }
}
