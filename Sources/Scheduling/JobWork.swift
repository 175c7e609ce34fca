public import Identifiers
import OrderedCollections

/// The past and expected work of a job, in seconds of one lane.
public struct JobWork: Equatable, Sendable {
    /// Seconds of its finished units, without those whose results were already known.
    public var doneSeconds: Double
    /// Expected seconds of the other units, at the pace of their stages.
    ///
    /// A stage without finished units is assumed to have the pace of the rest.
    public var leftSeconds: Double

    /// States the work of a job.
    public init(doneSeconds: Double, leftSeconds: Double) {
        self.doneSeconds = doneSeconds
        self.leftSeconds = leftSeconds
    }
}

extension Scheduler {
    /// The work of a running job; `nil` before any of its units was computed, because then no pace is known.
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
