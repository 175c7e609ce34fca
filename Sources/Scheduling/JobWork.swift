public import Identifiers
import OrderedCollections

/// What a job has taken and is expected to take, in seconds of one lane.
public struct JobWork: Equatable, Sendable {
    /// Seconds that its finished units took; those apart whose results were known.
    public var doneSeconds: Double
    /// Seconds that the others will take at the pace of their stages; a stage of which nothing is finished yet is
    /// believed to be as fast as the rest.
    public var leftSeconds: Double

    /// Names the work of a job.
    public init(doneSeconds: Double, leftSeconds: Double) {
        self.doneSeconds = doneSeconds
        self.leftSeconds = leftSeconds
    }
}

extension Scheduler {
    /// The work of a running job; `nil` as long as none of its units was computed, when no pace is known.
    public func work(of job: JobID) -> JobWork? {
        guard let job = jobs[job] else { return nil }
        let done = job.pace.values.reduce(0) { $0 + $1.elapsed }
        let nominal = job.pace.values.reduce(0) { $0 + $1.nominal }
        guard done > 0, nominal > 0 else { return nil }
        let left = job.openNanoseconds.reduce(0.0) { sum, stage in
            let pace = job.pace[stage.key].flatMap { $0.nominal > 0 ? $0.elapsed / $0.nominal : nil }
            return sum + Double(stage.value) * 1e-9 * (pace ?? done / nominal)
        }
        return JobWork(doneSeconds: done, leftSeconds: max(0, left))
    }
}
