import Identifiers

/// The pauses of jobs that the log tells: each cause once until the job goes on.
struct ToldPauses {
    /// What was told about each job; under `nil` what concerns all jobs.
    private var told: [JobID?: ToldSentences] = [:]

    /// Notes why a job waits.
    ///
    /// - Parameters:
    ///   - reason: The cause.
    ///   - job: The job; `nil` for all jobs.
    /// - Returns: Whether the log must tell it.
    mutating func insert(_ reason: String, of job: JobID?) -> Bool {
        told[job, default: ToldSentences()].insert(reason)
    }

    /// Takes the pauses that have ended; their causes may be told again.
    ///
    /// - Parameters:
    ///   - running: The jobs that have not ended.
    ///   - isPaused: Whether such a job waits.
    /// - Returns: The jobs that go on, and how often causes of their pause repeated.
    mutating func takeEnded(among running: [JobID], isPaused: (JobID) -> Bool) -> [(job: JobID, repetitions: Int)] {
        guard !told.isEmpty else { return [] }
        let paused = Set(running.filter(isPaused))
        let ended = running.compactMap { job -> (job: JobID, repetitions: Int)? in
            guard let pause = told[job], !paused.contains(job) else { return nil }
            return (job, pause.repetitions)
        }
        told = told.filter { job, _ in job.map(paused.contains) ?? !paused.isEmpty }
        return ended
    }
}
