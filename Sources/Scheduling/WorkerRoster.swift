import Identifiers
import OrderedCollections
import UnitOperations

/// The present workers, the units of each, and when each was last heard.
///
/// The roster is volatile: a restart forgets it.
struct WorkerRoster: Sendable {
    /// A unit that a worker holds.
    struct Lease: Hashable, Sendable {
        var attempt: Attempt
        var memoryBytes: UInt64
        var nominalSeconds: Double
        /// When its computation started, as far as known.
        var startedAt: SchedulerInstant?
        /// The last reported number of steps.
        var steps: UInt64 = 0
        /// When it was leased, started, or last made progress.
        var renewedAt: SchedulerInstant
        /// When the worker last reported it in progress.
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
        /// Until this instant it takes no new units: its disk is full, or orders do not reach it.
        var pausedUntil: SchedulerInstant?
        /// Whether it has confirmed the drain.
        var hasConfirmedDrain = false
        /// When it was last ordered to drain or to leave.
        var lastFarewellOrder: SchedulerInstant?

        var leasedMemory: UInt64 { leases.values.reduce(0) { $0 + $1.memoryBytes } }

        /// The memory that its units do not use.
        var freeMemory: UInt64 { capacity.memoryBytes - min(leasedMemory, capacity.memoryBytes) }

        /// Whether a unit of this size fits in the worker's free memory.
        func fits(_ memoryBytes: UInt64) -> Bool { memoryBytes <= freeMemory }

        /// Whether it does not leave, and has the memory for a unit of this size when it has no others.
        func stays(withRoomFor memoryBytes: UInt64) -> Bool { !isDraining && memoryBytes <= capacity.memoryBytes }

        /// Whether it may be leased units.
        var takesUnits: Bool { !isDraining && pausedUntil == nil }
        var hasFreeLane: Bool { takesUnits && leases.count < capacity.lanes }
    }

    var workers: OrderedDictionary<WorkerID, Worker> = [:]

    /// The numeric regimes of the workers, sorted.
    var regimes: [NumericRegime] { Set(workers.values.map(\.capacity.regime)).sorted() }

    /// The first instant at which a worker is lost or takes units again; `nil` without workers.
    func nextInstant(timeout: Duration) -> SchedulerInstant? {
        let expiries = workers.values.lazy.map { $0.lastHeard.advanced(by: timeout) }
        return [expiries.min(), workers.values.lazy.compactMap(\.pausedUntil).min()].compactMap { $0 }.min()
    }

    /// Gives a worker no new units until an instant.
    mutating func pause(_ worker: WorkerID, until instant: SchedulerInstant) {
        workers[worker]?.pausedUntil = instant
    }

    /// Lets workers take units again whose pause is over.
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
