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

/// Checks several job files at a time, each on a thread of its own.
///
/// A check reads the headers of all files, and sometimes a whole base.
///
/// Every client gets an answer: when the check is done, when it has taken too long, or when the client is gone. A
/// thread that hangs in a file system keeps its place. When all places hang, the process is not healthy.
actor AdmissionDesk {
    /// The number of checks at a time, and the time for one check.
    struct Limits: Sendable {
        var places = 4
        var time: Duration = .seconds(900)
        /// How long a check may go on after it was cancelled.
        var leeway: Duration = .seconds(60)
    }

    /// The client that submits: a key, or a connection when there are no keys.
    typealias Client = String

    private let roots: FileRoots
    private let owner: ClaimOwner
    private let limits: Limits
    private let claims = AdmissionLane(number: -1)
    private var idle: [AdmissionLane]
    private var queue: AdmissionQueue<Client>
    private var turns: [UInt64: CheckedContinuation<AdmissionLane?, Never>] = [:]
    private var tickets: UInt64 = 0
    /// The current checks, for health.
    let pulse: AdmissionPulse

    init(roots: FileRoots, owner: ClaimOwner, limits: Limits = Limits()) {
        self.roots = roots
        self.owner = owner
        self.limits = limits
        idle = (0..<limits.places).map { AdmissionLane(number: $0) }
        queue = AdmissionQueue(places: limits.places)
        pulse = AdmissionPulse(places: limits.places, limit: limits.time + limits.leeway)
    }

    /// Checks a submission when its turn comes; writes nothing.
    ///
    /// - Parameters:
    ///   - submission: The job file, and whether its output directory may be replaced.
    ///   - id: The job's name.
    ///   - client: The client that waits.
    ///   - isResumption: Whether the job already runs. Then the check has no time limit.
    ///   - progress: Receives the progress of the check.
    /// - Returns: The job, planned.
    /// - Throws: `JobRefusal` with all problems of the job file and its inputs, or with the reason why it was not
    ///   checked.
    func admit(
        _ submission: Submission, as id: JobID, for client: Client = "", isResumption: Bool = false,
        progress: AdmissionProgress = AdmissionProgress()
    ) async throws(JobRefusal) -> Job {
        progress.note("waiting for a free place")
        guard let lane = await lane(for: client) else {
            throw JobRefusal(
                interruption: Task.isCancelled
                    ? "nobody waits for the check any more"
                    : "too many job files wait to be checked already. Try again later")
        }
        let (roots, owner, outcome) = (roots, owner, FirstOutcome<Result<Job, JobRefusal>>())
        // Task because the desk must not wait for a check that hangs: a file system may hold its thread.
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

    /// Claims a job's output directory; the claim is the first thing that is written.
    ///
    /// - Throws: `JobRefusal` with the owner of the directory, or the reason why it cannot be written. Nothing was
    ///   made.
    func claimOutput(of job: Job) async throws(JobRefusal) {
        try await claims.claimOutput(of: job)
    }

    /// Waits for a lane; `nil` when too many clients wait, or the task is cancelled.
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

/// The first of several outcomes; it wakes the task that waits.
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

    /// Waits for the outcome; only one task may wait.
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

/// The progress of a check, for the client that waits.
final class AdmissionProgress: Sendable {
    private let text = Mutex("")

    /// Sets the current activity, as in "reading the headers of the base"; the client puts it after a colon.
    func note(_ text: String) {
        self.text.withLock { $0 = text }
    }

    /// The current activity.
    var current: String { text.withLock { $0 } }
}

/// Whether job files can still be checked: each check must end in its time, or soon after it was cancelled.
final class AdmissionPulse: HealthCheck {
    private let places: Int
    private let limit: Duration
    private let checks = Mutex<[Int: (began: ContinuousClock.Instant, file: String)]>([:])

    init(places: Int, limit: Duration) {
        self.places = places
        self.limit = limit
    }

    /// Marks the start of a check.
    func begin(_ place: Int, _ file: String, at now: ContinuousClock.Instant = .now) {
        checks.withLock { $0[place] = (now, file) }
    }

    /// Marks the end of a check.
    func end(_ place: Int) {
        checks.withLock { $0[place] = nil }
    }

    /// The number of current checks, and of those that are overdue.
    func counts(at now: ContinuousClock.Instant = .now) -> (all: Int, stuck: Int) {
        checks.withLock { checks in (checks.count, checks.values.count { now - $0.began > limit }) }
    }

    /// The problem that overdue checks hold every place.
    func problem(at now: ContinuousClock.Instant) -> String? {
        guard counts(at: now).stuck >= places else { return nil }
        let files = checks.withLock { $0.values.map(\.file).sorted() }
        return "no job file can be checked: \(files.listed(limit: 4)) have been checked for more than "
            + "\(limit.components.seconds) s; does their file system answer?"
    }
}
