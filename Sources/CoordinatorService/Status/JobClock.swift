import Identifiers
import Scheduling
import Telemetry

/// Measures how long jobs have run, and predicts how long they will, by a monotonic clock.
struct JobClock {
    private struct Entry {
        let began: ContinuousClock.Instant
        /// Whether it had begun before, in an earlier life of the coordinator.
        let isResumed: Bool
        /// The time when the job's first unit was given out in this life of the coordinator, and the share done before
        /// that.
        var worked: (since: ContinuousClock.Instant, before: Double)?
    }

    /// The running jobs.
    private var running: [JobID: Entry] = [:]
    /// The durations of ended jobs, where they are known, and the times when they ended, the latest last.
    ///
    /// Bound: ``endedMax``.
    private var ended: [(job: JobID, duration: Duration?, time: String)] = []

    private static let endedMax = 1000
    /// The least time and share of work for a prediction; before that, a prediction would be chance.
    private static let workMin: (elapsed: Duration, share: Double) = (.seconds(2), 0.02)

    /// Notes that a job was accepted or resumed.
    mutating func begin(_ job: JobID, isResumed: Bool = false, at now: ContinuousClock.Instant = .now) {
        running[job] = Entry(began: now, isResumed: isResumed)
    }

    /// Notes that a unit of a job was given out; the wait for workers before that says nothing about the job's pace.
    mutating func noteWork(of job: JobID, _ work: JobWork?, at now: ContinuousClock.Instant = .now) {
        guard running[job]?.worked == nil else { return }
        running[job]?.worked = (now, work?.doneSeconds ?? 0)
    }

    /// Notes that a job has ended, at a time of day that is only shown.
    mutating func end(_ job: JobID, at now: ContinuousClock.Instant = .now, time: String = Timestamp.now) {
        guard let entry = running.removeValue(forKey: job) else { return }
        let duration = entry.isResumed ? nil : entry.began.duration(to: now)
        ended = ended.suffix(Self.endedMax - 1) + [(job, duration, time)]
    }

    /// How long a job has run since it was accepted or resumed, or how long it took; `nil` when that is not known.
    func elapsed(_ job: JobID, at now: ContinuousClock.Instant = .now) -> Duration? {
        running[job].map { $0.began.duration(to: now) } ?? ended.last { $0.job == job }.flatMap(\.duration)
    }

    /// When a job ended; `nil` when it has not, or not in this life of the coordinator.
    func endTime(_ job: JobID) -> String? { ended.last { $0.job == job }?.time }

    /// How long a running job will probably go on; `nil` while too little of it is done.
    ///
    /// The prediction assumes that as many lanes go on as have worked for the job so far.
    func left(_ job: JobID, _ work: JobWork?, at now: ContinuousClock.Instant = .now) -> Duration? {
        guard let work, let (since, before) = running[job]?.worked else { return nil }
        let elapsed = since.duration(to: now)
        let done = work.doneSeconds - before
        guard elapsed >= Self.workMin.elapsed, done > Self.workMin.share * (done + work.leftSeconds) else { return nil }
        return elapsed * (work.leftSeconds / done)
    }
}
