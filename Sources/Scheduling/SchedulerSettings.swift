/// The scheduler's limits.
public struct SchedulerSettings: Equatable, Sendable {
    /// A worker that was not heard for so long is lost.
    public var workerTimeout: Duration = .seconds(10)
    /// Units that a worker may hold beyond those that it computes, so that it never waits for an order.
    public var queuedUnitsPerWorker = 2
    /// Units that the coordinator works on at once.
    public var coordinatorLanes = 2
    /// Failures after which a unit fails its job (DESIGN section 6, guarantee 4).
    public var failuresMax = 3

    /// The limits that kfacd uses.
    public init() {}
}
