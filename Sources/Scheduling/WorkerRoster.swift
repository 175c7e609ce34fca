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
        var hasStarted: Bool
    }

    /// A worker.
    struct Worker: Sendable {
        var capacity: WorkerCapacity
        var lastHeard: SchedulerInstant
        var leases: OrderedDictionary<UnitReference, Lease> = [:]

        var leasedMemory: UInt64 { leases.values.reduce(0) { $0 + $1.memoryBytes } }

        /// Whether a unit of this size may be added without exceeding the worker's memory.
        func fits(_ memoryBytes: UInt64) -> Bool {
            let (sum, overflow) = leasedMemory.addingReportingOverflow(memoryBytes)
            return !overflow && sum <= capacity.memoryBytes
        }
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

    /// Takes a lease away from whoever holds it.
    mutating func removeLease(of unit: UnitReference) {
        for worker in workers.keys { workers[worker]?.leases[unit] = nil }
    }
}
