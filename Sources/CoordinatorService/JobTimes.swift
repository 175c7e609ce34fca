import Identifiers

/// How long jobs have run, by a clock that nobody sets.
///
/// Of a job that an earlier life of the coordinator took in, the time before this one is what the calendar says.
/// Bound: running jobs, and the ended ones that can be asked about.
struct JobTimes {
    private var begun: [JobID: ContinuousClock.Instant] = [:]
    private var ended: [JobID: Duration] = [:]

    /// A job begins, or goes on after a restart.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - earlier: How long it has run already.
    mutating func begin(_ job: JobID, after earlier: Duration = .zero) {
        begun[job] = ContinuousClock.now - max(earlier, .zero)
    }

    /// A job has ended.
    mutating func end(_ job: JobID) {
        ended[job] = elapsed(job)
        begun[job] = nil
    }

    /// How long a job has run, or ran; `nil` for one that an earlier life of the coordinator ended.
    func elapsed(_ job: JobID) -> Duration? {
        ended[job] ?? begun[job].map { ContinuousClock.now - $0 }
    }

    /// Forgets jobs that nobody can ask about any more.
    mutating func keep(_ jobs: Set<JobID>) {
        ended = ended.filter { jobs.contains($0.key) }
    }
}
