import Identifiers
import JobPlan
import OrderedCollections
import Scheduling
import WireProtocol
import ZeroMQ

/// The conversations with workers, and the state that their messages are checked against.
///
/// A connection is a stranger's until its worker greets, and again after the worker was given up. Only greetings of
/// strangers are handled. A stranger's results are kept until its greeting comes.
struct WorkerConversations {
    /// The answer to a greeting.
    enum Greeting {
        /// The connection greeted under another name before.
        case refused(former: WorkerID)
        /// The worker is accepted.
        ///
        /// - `formerPeer`: the worker's former connection, if it is another one.
        /// - `isNewConnection`: whether messages on the former connection may be lost.
        /// - `results`: the results that the worker sent before its greeting.
        case welcomed(formerPeer: RoutingIdentity?, isNewConnection: Bool, results: [EarlyResults.EarlyResult])
    }

    /// The state of a connection that has sent a message.
    ///
    /// A worker that has greeted may drain. The scheduler decides that, and its roster has the state of it.
    private enum Connection: Equatable {
        /// It has not greeted: its worker greeted an earlier process, or was given up.
        ///
        /// Can transition to: `worker`. Bound: ``EarlyResults/countMax`` connections; the oldest is forgotten.
        case stranger
        /// Its worker has greeted.
        ///
        /// It is forgotten when the worker leaves, is silent for too long, or greets over another connection.
        case worker(WorkerID)
    }

    /// The workers that have greeted and were not given up.
    private(set) var workers: [WorkerID: WorkerConversation] = [:]
    /// The connections that have sent a message.
    private var connections: OrderedDictionary<RoutingIdentity, Connection> = [:]
    /// The leases that were given to workers.
    var given = GivenLeases()
    /// The running jobs that were resumed from the journal; workers may know them from an earlier process.
    var resumedJobs: Set<JobID> = []
    private var refusals = RefusalLog()
    private var earlyResults = EarlyResults()

    subscript(worker: WorkerID) -> WorkerConversation? { workers[worker] }

    /// The worker that greeted over a connection.
    func worker(at peer: RoutingIdentity) -> WorkerID? {
        if case .worker(let worker) = connections[peer] { worker } else { nil }
    }

    /// Handles a message of a stranger, which must greet first.
    mutating func hear(_ message: WorkerMessage, fromStranger peer: RoutingIdentity) {
        if connections[peer] == nil {
            connections[peer] = .stranger
            let strangers = connections.filter { $0.value == .stranger }
            if strangers.count > EarlyResults.countMax, let oldest = strangers.keys.first { connections[oldest] = nil }
        }
        // The results of its finished units can still be used.
        if case .finished(let unit, let result, let elapsed, let kernels) = message {
            let timing = UnitTiming(elapsedSeconds: elapsed, kernelSeconds: kernels)
            earlyResults.keep(.init(peer: peer, unit: unit, result: result, timing: timing))
        }
    }

    /// Handles a greeting; if two connections greet as one worker, the later one is the worker's.
    mutating func greet(_ hello: WorkerHello, _ peer: RoutingIdentity) -> Greeting {
        if let other = worker(at: peer), other != hello.worker { return .refused(former: other) }
        let former = workers[hello.worker]
        let formerPeer = former.flatMap { $0.peer == peer ? nil : $0.peer }
        if let formerPeer { connections[formerPeer] = nil }
        workers[hello.worker] = WorkerConversation(hello, peer, after: former)
        let hasSpoken = connections.updateValue(.worker(hello.worker), forKey: peer) == .stranger
        given.greet(hello.worker, lanes: hello.lanes, isReturn: hasSpoken || hello.connection > 0)
        return .welcomed(
            formerPeer: formerPeer, isNewConnection: former?.isReplaced(by: hello, peer) ?? false,
            results: earlyResults.take(from: peer))
    }

    /// Ends the conversation with a worker that is gone.
    ///
    /// - Returns: The worker's connection, which is a stranger's from now on.
    mutating func forget(_ worker: WorkerID) -> RoutingIdentity? {
        guard let peer = workers.removeValue(forKey: worker)?.peer else { return nil }
        connections[peer] = nil
        return peer
    }

    // MARK: - Messages of workers

    /// Notes a message of a worker; returns whether it is passed on as a sign of life.
    mutating func noteSign(of worker: WorkerID, at now: ContinuousClock.Instant) -> Bool {
        workers[worker]?.noteSign(at: now) ?? false
    }

    /// Counts blobs that a worker reports.
    mutating func noteHeld(_ count: Int, by worker: WorkerID) -> WorkerConversation.HeldBlobs {
        workers[worker]?.noteHeld(count) ?? .beyondBound
    }

    /// Counts blobs that a worker has dropped.
    mutating func noteDropped(_ count: Int, by worker: WorkerID) { workers[worker]?.noteDropped(count) }

    /// Counts a finished unit of a worker.
    mutating func countFinishedUnit(of worker: WorkerID, at sinceStart: Duration) {
        workers[worker]?.countFinishedUnit(at: sinceStart)
    }

    /// Counts an impossible message of a worker.
    ///
    /// - Returns: Whether the conversation is over, and the line for the log.
    mutating func noteRefusedWord(
        of worker: WorkerID, at now: ContinuousClock.Instant
    ) -> (isOver: Bool, line: RefusalLog.Line) {
        let line = refusals.note(at: now)
        return (workers[worker]?.noteRefusedWord() ?? false, line)
    }

    /// Decides whether a worker's message about a unit is accepted.
    mutating func judge(_ unit: LeasedUnit, of worker: WorkerID, isPossible: Bool?) -> GivenLeases.Verdict {
        given.judge(unit, of: worker, isPossible: isPossible, isResumed: resumedJobs.contains(unit.unit.job))
    }
}
