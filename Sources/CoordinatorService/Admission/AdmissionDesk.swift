import Admission
import FileAccess
import Identifiers
import JobPlan
import Logging
import Publication
import PushedRuns
import Supervision
import Synchronization
import Telemetry
import UnitOperations

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

    /// A place for one check at a time.
    private struct Place: Sendable {
        let number: Int
        let lane: AdmissionLane
    }

    private let roots: FileRoots
    private let owner: ClaimOwner
    private let runs: RunStore?
    private let limits: Limits
    /// Whether later jobs may read the blobs of a job.
    private let keepsBlobs: Bool
    private let claims = AdmissionLane("kfacd.claims")
    private var idle: [Place]
    private var queue: AdmissionQueue<Client>
    private var turns: [UInt64: CheckedContinuation<Place?, Never>] = [:]
    private var tickets: UInt64 = 0
    /// The current checks, for health.
    let pulse: AdmissionPulse

    init(
        roots: FileRoots, owner: ClaimOwner, runs: RunStore? = nil, limits: Limits = Limits(), keepsBlobs: Bool = true
    ) {
        self.roots = roots
        self.keepsBlobs = keepsBlobs
        self.owner = owner
        self.runs = runs
        self.limits = limits
        idle = (0..<limits.places).map { Place(number: $0, lane: AdmissionLane("kfacd.admission-\($0)")) }
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
        progress.note("waiting for its turn")
        guard let place = await place(for: client) else {
            throw JobRefusal(
                interruption: Task.isCancelled
                    ? "nobody waits for the check any more"
                    : "too many job files wait to be checked already. Try again later")
        }
        pulse.begin(place.number, submission.specPath)
        return try await place.lane.run(within: isResumption ? nil : limits.time) {
            await self.end(place, of: client)
        } check: { [roots, owner, runs] () throws(JobRefusal) in
            try JobAdmission.admit(
                submission, as: id, roots: roots, owner: owner, runs: runs, isResumption: isResumption,
                progress: progress)
        }
    }

    /// Claims a job's output directory; the claim is the first thing that is written.
    ///
    /// - Throws: `JobRefusal` with the owner of the directory, or the reason why it cannot be written. Nothing was
    ///   made.
    func claimOutput(of job: Job) async throws(JobRefusal) {
        try await claims.perform { () throws(JobRefusal) in
            do throws(PublicationError) {
                try job.output.claim()
            } catch {
                throw JobRefusal(problems: [JobProblem(at: job.plan.spec.output.location, error.description)])
            }
        }
    }

    /// Makes the files of a job whose output is claimed, so that workers can write into them.
    ///
    /// Without them the outputs are collected, and the same problem shows when they are written.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - finished: The finished units of a resumed job; `nil` for a new one.
    ///   - logger: Receives a problem.
    /// - Returns: The files.
    func stage(_ job: Job, resuming finished: Set<UnitIndex>? = nil, _ logger: Logger) async -> StagedOutputs {
        let staged = StagedOutputs(job: job, keepsBlobs: keepsBlobs)
        do throws(JobRefusal) {
            try await claims.perform { () throws(JobRefusal) in
                do {
                    if finished == nil { try job.output.removeUnpublished() }
                    try staged.prepare { finished?.contains($0) ?? false }
                } catch {
                    throw JobRefusal(interruption: "\(error)")
                }
            }
        } catch {
            logger.warning(
                "workers cannot write the outputs in place; they are collected",
                metadata: [LogKeys.job: "\(job.id)", LogKeys.cause: "\(error)"])
        }
        return staged
    }

    /// Waits for a place; `nil` when too many clients wait, or the task is cancelled.
    private func place(for client: Client) async -> Place? {
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

    private func end(_ place: Place, of client: Client) {
        pulse.end(place.number)
        idle.append(place)
        queue.end(of: client)
        giveTurns()
    }
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
