import Identifiers
import Scheduling

/// How long jobs have been under way and will be, by a clock that nobody sets.
struct JobClock {
    private struct Entry {
        let began: ContinuousClock.Instant
        /// When its first unit was given away in this life of the coordinator, and what had been done of it before.
        var worked: (since: ContinuousClock.Instant, before: Double)?
    }

    /// Jobs that run.
    private var running: [JobID: Entry] = [:]
    /// How long jobs took that have ended, the latest last.
    ///
    /// Bound: ``endedMax``.
    private var ended: [(job: JobID, duration: Duration)] = []

    private static let endedMax = 1000
    /// Before a job has worked so long, and done such a share, its time left would be chance.
    private static let workMin: (elapsed: Duration, share: Double) = (.seconds(2), 0.02)

    /// Notes that a job was taken in, or up again.
    mutating func begin(_ job: JobID, at now: ContinuousClock.Instant = .now) {
        running[job] = Entry(began: now)
    }

    /// Notes that a unit of a job is given to somebody; what waited for workers until then says nothing about its pace.
    mutating func noteWork(of job: JobID, _ work: JobWork?, at now: ContinuousClock.Instant = .now) {
        guard running[job]?.worked == nil else { return }
        running[job]?.worked = (now, work?.doneSeconds ?? 0)
    }

    /// Notes that a job has ended.
    mutating func end(_ job: JobID, at now: ContinuousClock.Instant = .now) {
        guard let entry = running.removeValue(forKey: job) else { return }
        ended = ended.suffix(Self.endedMax - 1) + [(job, entry.began.duration(to: now))]
    }

    /// How long a job has been under way, or how long it took; `nil` when it was not seen to begin.
    func elapsed(_ job: JobID, at now: ContinuousClock.Instant = .now) -> Duration? {
        running[job].map { $0.began.duration(to: now) } ?? ended.last { $0.job == job }?.duration
    }

    /// How long a running job is expected to go on; `nil` as long as too little of it is done to say so.
    ///
    /// As many lanes as have worked for it so far will go on with it.
    func left(_ job: JobID, _ work: JobWork?, at now: ContinuousClock.Instant = .now) -> Duration? {
        guard let work, let (since, before) = running[job]?.worked else { return nil }
        let elapsed = since.duration(to: now)
        let done = work.doneSeconds - before
        guard elapsed >= Self.workMin.elapsed, done > Self.workMin.share * (done + work.leftSeconds) else { return nil }
        return elapsed * (work.leftSeconds / done)
    }
}
