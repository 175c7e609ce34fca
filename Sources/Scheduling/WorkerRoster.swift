import Identifiers
import OrderedCollections

/// The workers that are there, what each holds, and when it was last heard.
///
/// Volatile: a restart forgets it.
struct WorkerRoster: Sendable {
    /// A unit in a worker's hands.
    struct Lease: Hashable, Sendable {
        var attempt: Attempt
        var memoryBytes: UInt64
        var nominalSeconds: Double
        /// When its computation began, as far as is known.
        var startedAt: SchedulerInstant?
        /// Steps that were reported last.
        var steps: UInt64 = 0
        /// When it was given, began, or made progress for the last time.
        var renewedAt: SchedulerInstant
        /// When the worker last said that the unit is under way.
        var reportedAt: SchedulerInstant?

        var hasStarted: Bool { startedAt != nil }
    }

    /// A worker.
    struct Worker: Sendable {
        var capacity: WorkerCapacity
        var lastHeard: SchedulerInstant
        var leases: OrderedDictionary<UnitReference, Lease> = [:]
        /// Whether it takes no new units.
        var isDraining = false
        /// Whether it knows that.
        var hasConfirmedDrain = false
        /// When it was last told to drain or to leave.
        var lastFarewellOrder: SchedulerInstant?

        var leasedMemory: UInt64 { leases.values.reduce(0) { $0 + $1.memoryBytes } }

        /// Whether a unit of this size may be added without exceeding the worker's memory.
        func fits(_ memoryBytes: UInt64) -> Bool {
            let (sum, overflow) = leasedMemory.addingReportingOverflow(memoryBytes)
            return !overflow && sum <= capacity.memoryBytes
        }

        var hasFreeLane: Bool { !isDraining && leases.count < capacity.lanes }
    }

    var workers: OrderedDictionary<WorkerID, Worker> = [:]

    /// The first instant at which a worker counts as lost, when there is a worker.
    func nextExpiry(timeout: Duration) -> SchedulerInstant? {
        workers.values.map { $0.lastHeard.advanced(by: timeout) }.min()
    }

    /// The workers that were not heard for longer than `timeout`.
    func expired(at now: SchedulerInstant, timeout: Duration) -> [WorkerID] {
        workers.filter { $0.value.lastHeard.advanced(by: timeout) <= now }.map(\.key)
    }
}
