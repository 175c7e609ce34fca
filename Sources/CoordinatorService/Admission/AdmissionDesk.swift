import FileAccess
import Identifiers
import JobPlan
import Lanes
import Messaging
import Publication
import Supervision
import Synchronization
import WireProtocol
import ZeroMQ

/// Checks job files, some at a time, each on a thread of its own, since headers, and sometimes a whole base, are read
/// for it.
///
/// Whoever waits gets an answer: when the check is done, when it has taken too long, or when nobody waits any more. A
/// thread that a file system does not let go keeps its place; when all are held so, the process is not healthy.
actor AdmissionDesk {
    /// How many job files are checked at a time, and how long one may take.
    struct Limits: Sendable {
        var places = 4
        var time: Duration = .seconds(900)
        /// How long a check may go on after it was told to end.
        var leeway: Duration = .seconds(60)
    }

    /// Who submits: a key, or a connection where there are no keys.
    typealias Client = String

    private let roots: FileRoots
    private let owner: ClaimOwner
    private let limits: Limits
    private let claims = AdmissionLane(number: -1)
    private var idle: [AdmissionLane]
    private var queue: AdmissionQueue<Client>
    private var turns: [UInt64: CheckedContinuation<AdmissionLane?, Never>] = [:]
    private var tickets: UInt64 = 0
    /// What is being checked, for health.
    let pulse: AdmissionPulse

    init(roots: FileRoots, owner: ClaimOwner, limits: Limits = Limits()) {
        self.roots = roots
        self.owner = owner
        self.limits = limits
        idle = (0..<limits.places).map { AdmissionLane(number: $0) }
        queue = AdmissionQueue(places: limits.places)
        pulse = AdmissionPulse(places: limits.places, limit: limits.time + limits.leeway)
    }

    /// Checks a submission when its turn comes; nothing is written.
    ///
    /// - Parameters:
    ///   - submission: The job file, and what may be done with the output directory.
    ///   - id: The job's name.
    ///   - client: Who waits for it.
    ///   - isResumption: Whether the job runs already: then it may take as long as it takes.
    ///   - progress: Where it is told how far the check is.
    /// - Returns: The job, planned.
    /// - Throws: `JobRefusal` with all problems of the job file and its inputs, or why it was not checked.
    func admit(
        _ submission: Submission, as id: JobID, for client: Client = "", isResumption: Bool = false,
        progress: AdmissionProgress = AdmissionProgress()
    ) async throws(JobRefusal) -> Job {
        progress.note("waits for its turn to be checked")
        guard let lane = await lane(for: client) else {
            throw JobRefusal(
                interruption: Task.isCancelled
                    ? "nobody waits for the check any more"
                    : "too many job files wait to be checked already. Try again later")
        }
        let (roots, owner, outcome) = (roots, owner, FirstOutcome<Result<Job, JobRefusal>>())
        // Task because the check is not waited for when it does not end: a file system may hold its thread.
        let check = Task {
            let result = await lane.admit(
                submission, as: id, roots: roots, owner: owner, isResumption: isResumption, progress: progress)
            outcome.set(result)
            self.end(lane, of: client)
        }
        pulse.begin(lane.number, submission.specPath)
        let time = limits.time
        let watch = Task {
            guard !isResumption, (try? await Task.sleep(for: time)) != nil else { return }
            outcome.set(.failure(JobRefusal(interruption: "the check was given up after \(time)")))
            check.cancel()
        }
        let result = await withTaskCancellationHandler {
            await outcome.value
        } onCancel: {
            outcome.set(.failure(JobRefusal(interruption: "nobody waits for the check any more")))
            check.cancel()
        }
        watch.cancel()
        return try result.get()
    }

    /// Takes a job's output directory for it: the first thing that is written.
    ///
    /// - Throws: `JobRefusal` with who has it, or what keeps it from being written to; nothing was made then.
    func claimOutput(of job: Job) async throws(JobRefusal) {
        try await claims.claimOutput(of: job)
    }

    /// Waits for a lane; `nil` when too many wait already, or the task is cancelled.
    private func lane(for client: Client) async -> AdmissionLane? {
        tickets += 1
        let ticket = tickets
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard !Task.isCancelled, queue.append(ticket, of: client) else {
                    continuation.resume(returning: nil)
                    return
                }
                turns[ticket] = continuation
                giveTurns()
            }
        } onCancel: {
            // Task because the handler is synchronous.
            Task { await self.giveUp(ticket) }
        }
    }

    private func giveUp(_ ticket: UInt64) {
        queue.remove(ticket)
        turns.removeValue(forKey: ticket)?.resume(returning: nil)
    }

    private func giveTurns() {
        while !idle.isEmpty, let ticket = queue.next() {
            guard let turn = turns.removeValue(forKey: ticket) else { continue }
            turn.resume(returning: idle.removeLast())
        }
    }

    private func end(_ lane: AdmissionLane, of client: Client) {
        pulse.end(lane.number)
        idle.append(lane)
        queue.end(of: client)
        giveTurns()
    }
}

/// A thread for the check of one job file at a time.
actor AdmissionLane {
    nonisolated let number: Int
    private let lane: Lane

    init(number: Int) {
        self.number = number
        lane = Lane("kfacd.admission-\(number)")
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    func admit(
        _ submission: Submission, as id: JobID, roots: FileRoots, owner: ClaimOwner, isResumption: Bool,
        progress: AdmissionProgress
    ) -> Result<Job, JobRefusal> {
        Result { () throws(JobRefusal) in
            try JobAdmission.admit(
                submission, as: id, roots: roots, owner: owner, isResumption: isResumption, progress: progress)
        }
    }

    func claimOutput(of job: Job) throws(JobRefusal) {
        do throws(PublicationError) {
            try job.output.claim()
        } catch {
            throw JobRefusal(problems: [JobProblem(at: job.plan.spec.output.location, error.description)])
        }
    }
}

/// The first of several outcomes; who waits for it goes on then.
private final class FirstOutcome<Value: Sendable>: Sendable {
    private enum State {
        case open(CheckedContinuation<Value, Never>?)
        case set(Value)
    }

    private let state = Mutex(State.open(nil))

    /// Sets the outcome, unless there is one.
    func set(_ value: Value) {
        let waiting = state.withLock { state -> CheckedContinuation<Value, Never>? in
            guard case .open(let waiting) = state else { return nil }
            state = .set(value)
            return waiting
        }
        waiting?.resume(returning: value)
    }

    /// Waits for the outcome; for one task.
    var value: Value {
        get async {
            await withCheckedContinuation { continuation in
                let known = state.withLock { state -> Value? in
                    if case .set(let value) = state { return value }
                    state = .open(continuation)
                    return nil
                }
                if let known { continuation.resume(returning: known) }
            }
        }
    }
}

/// How far the check of a job file is, for whoever waits for it.
final class AdmissionProgress: Sendable {
    private let text = Mutex("")

    /// Says what is being done.
    func note(_ text: String) {
        self.text.withLock { $0 = text }
    }

    /// What is being done.
    var current: String { text.withLock { $0 } }
}

/// Whether job files can still be checked: each check ends in its time, or soon after it was told to.
final class AdmissionPulse: HealthCheck {
    private let places: Int
    private let limit: Duration
    private let checks = Mutex<[Int: (began: ContinuousClock.Instant, file: String)]>([:])

    init(places: Int, limit: Duration) {
        self.places = places
        self.limit = limit
    }

    /// Marks the beginning of a check.
    func begin(_ place: Int, _ file: String, at now: ContinuousClock.Instant = .now) {
        checks.withLock { $0[place] = (now, file) }
    }

    /// Marks its end.
    func end(_ place: Int) {
        checks.withLock { $0[place] = nil }
    }

    /// How many checks go on, and how many of them should have ended.
    func counts(at now: ContinuousClock.Instant = .now) -> (all: Int, stuck: Int) {
        checks.withLock { checks in (checks.count, checks.values.count { now - $0.began > limit }) }
    }

    /// That every place is held by a check that does not end.
    func problem(at now: ContinuousClock.Instant) -> String? {
        guard counts(at: now).stuck >= places else { return nil }
        let files = checks.withLock { $0.values.map(\.file).sorted() }
        return "no job file can be checked: \(files.listed(limit: 4)) have been checked for more than "
            + "\(limit.components.seconds) s; does their file system answer?"
    }
}
