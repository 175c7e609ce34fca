import Admission
import Console
import FileAccess
import Identifiers
import JobPlan
import Publication
import SystemPackage
import WireProtocol

/// Checks a job file in this process, by the same functions as a coordinator.
///
/// The check has a thread of its own, because the user's limit and the progress do not wait for a file system.
enum JobCheck {
    /// A job that passed a check.
    struct CheckedJob: Sendable {
        /// Its units.
        let plan: JobPlan
        /// Its output directory.
        let output: FilePath

        fileprivate init(_ job: Job) { (plan, output) = (job.plan, job.output.path) }
    }

    /// Plans a job; no results of earlier work are known here.
    ///
    /// - Throws: ``CommandFailure`` with all problems of the job, or after the time for a check.
    static func plan(_ submission: Submission, within limit: Duration) async throws -> CheckedJob {
        try await perform(within: limit) { (owner, progress) throws(JobRefusal) in
            CheckedJob(
                try JobAdmission.admit(submission, as: "plan", roots: .unlimited, owner: owner, progress: progress))
        }
    }

    /// Refuses a job that a coordinator and workers on this machine would refuse for what the headers show.
    ///
    /// - Returns: The job, which a coordinator checks again.
    /// - Throws: ``CommandFailure`` with all problems of the job, or after the time for a check.
    static func preview(
        _ submission: Submission, workerMemories: [UInt64], within limit: Duration
    ) async throws -> CheckedJob {
        try await perform(within: limit) { (owner, progress) throws(JobRefusal) in
            CheckedJob(
                try JobAdmission.preview(
                    submission, as: firstJob, roots: .unlimited, owner: owner, workerMemories: workerMemories,
                    progress: progress))
        }
    }

    /// The name that a new coordinator gives its first job.
    static let firstJob: JobID = "job-1"

    private static func perform<Value: Sendable>(
        within limit: Duration,
        _ check: @escaping @Sendable (ClaimOwner, AdmissionProgress) throws(JobRefusal) -> Value
    ) async throws -> Value {
        let progress = AdmissionProgress()
        let start = ContinuousClock.now
        // Task because it ends with the check.
        let news = Task {
            while (try? await Task.sleep(for: .seconds(1))) != nil {
                AdmissionNews.show(progress.current, since: start)
            }
        }
        defer { news.cancel() }
        let owner = ClaimOwner(coordinator: CoordinatorIdentity.new(), stateDirectory: "")
        let lane = AdmissionLane("kfacctl.admission")
        do throws(JobRefusal) {
            return try await lane.run(within: limit) { () throws(JobRefusal) in try check(owner, progress) }
        } catch {
            throw CommandFailure(RequestFailure(error))
        }
    }
}
