public import JobPlan
import UnitOperations

/// The bytes of a job's files while it runs on one machine.
public struct DiskEstimate: Equatable, Sendable {
    /// Bytes of the outputs.
    ///
    /// They are staged in the output directory and renamed there, so they need their room once. Files of an earlier job
    /// stay until then.
    public let outputBytes: UInt64
    /// The most bytes of results in the stores of all workers; each worker's store has a limit of its own.
    public let workerBytes: UInt64
    /// The most bytes in the coordinator's store: merged tensors.
    public let coordinatorBytes: UInt64

    /// Adds up a plan's files.
    public init(of plan: JobPlan) {
        outputBytes = PlanSummary(of: plan).diskBytes
        let routes = ResultRoutes(of: plan)
        workerBytes = routes.stored.reduce(0, &+)
        coordinatorBytes = routes.sent.reduce(0, &+)
    }
}
