import Identifiers
import OrderedCollections
import UnitOperations

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
        /// Until then it takes none either: its disk is full, or orders do not reach it.
        var pausedUntil: SchedulerInstant?
        /// Whether it knows that.
        var hasConfirmedDrain = false
        /// When it was last told to drain or to leave.
        var lastFarewellOrder: SchedulerInstant?

        var leasedMemory: UInt64 { leases.values.reduce(0) { $0 + $1.memoryBytes } }

        /// Memory that its units leave.
        var freeMemory: UInt64 { capacity.memoryBytes - min(leasedMemory, capacity.memoryBytes) }

        /// Whether a unit of this size may be added without exceeding the worker's memory.
        func fits(_ memoryBytes: UInt64) -> Bool { memoryBytes <= freeMemory }

        /// Whether it may be given units.
        var takesUnits: Bool { !isDraining && pausedUntil == nil }
        var hasFreeLane: Bool { takesUnits && leases.count < capacity.lanes }
    }

    var workers: OrderedDictionary<WorkerID, Worker> = [:]

    /// The regimes in which they compute, in their order.
    var regimes: [NumericRegime] { Set(workers.values.map(\.capacity.regime)).sorted() }

    /// The first instant at which a worker counts as lost or takes units again, when there is a worker.
    func nextInstant(timeout: Duration) -> SchedulerInstant? {
        let expiries = workers.values.lazy.map { $0.lastHeard.advanced(by: timeout) }
        return [expiries.min(), workers.values.lazy.compactMap(\.pausedUntil).min()].compactMap { $0 }.min()
    }

    /// Lets a worker be without new units until an instant.
    mutating func pause(_ worker: WorkerID, until instant: SchedulerInstant) {
        workers[worker]?.pausedUntil = instant
    }

    /// Lets workers that have paused long enough take units again.
    mutating func resume(at now: SchedulerInstant) {
        for worker in workers.keys where workers[worker]?.pausedUntil.map({ $0 <= now }) == true {
            workers[worker]?.pausedUntil = nil
        }
    }

    /// The workers that were not heard for longer than `timeout`.
    func expired(at now: SchedulerInstant, timeout: Duration) -> [WorkerID] {
        workers.filter { $0.value.lastHeard.advanced(by: timeout) <= now }.map(\.key)
    }
}
