/// A work unit among all jobs.
public struct UnitReference: Hashable, Sendable, Codable, CustomStringConvertible {
    /// The job that the unit belongs to.
    public let job: JobID
    /// The unit within the job's plan.
    public let unit: UnitIndex

    /// Names a unit of a job.
    public init(job: JobID, unit: UnitIndex) {
        self.job = job
        self.unit = unit
    }

    /// `job/unit`, as log lines show it.
    public var description: String { "\(job)/\(unit)" }
}
