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
        /// The key of the unit with the inputs that this attempt reads.
        var key: UnitKey?
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

    /// What a present worker is given; a worker that is silent for too long, or has left, is not in the roster.
    enum Stage: Hashable, Sendable {
        /// It may be leased units.
        ///
        /// Can transition to: `paused`, `draining`.
        case working
        /// Until an instant it takes no new units: its disk is full, or orders do not reach it.
        ///
        /// Can transition to: `working`, `draining`.
        case paused(until: SchedulerInstant)
        /// It takes no new units and leaves, once it has finished its units and nobody needs its blobs.
        ///
        /// `told` is when it was last ordered to drain or, after it has confirmed that, to leave.
        case draining(isConfirmed: Bool, told: SchedulerInstant?)
    }

    /// A worker.
    struct Worker: Sendable {
        var capacity: WorkerCapacity
        var lastHeard: SchedulerInstant
        var leases: OrderedDictionary<UnitReference, Lease> = [:]
        var stage = Stage.working

        /// Whether it leaves.
        var isDraining: Bool { if case .draining = stage { true } else { false } }

        var leasedMemory: UInt64 { leases.values.reduce(0) { $0 + $1.memoryBytes } }

        /// The memory that its units do not use.
        var freeMemory: UInt64 { capacity.memoryBytes - min(leasedMemory, capacity.memoryBytes) }

        /// Whether a unit of this size fits in the worker's free memory.
        func fits(_ memoryBytes: UInt64) -> Bool { memoryBytes <= freeMemory }

        /// Whether it does not leave, and has the memory for a unit of this size when it has no others.
        func stays(withRoomFor memoryBytes: UInt64) -> Bool { !isDraining && memoryBytes <= capacity.memoryBytes }

        /// Whether it may be leased units.
        var takesUnits: Bool { stage == .working }
        var hasFreeLane: Bool { takesUnits && leases.count < capacity.lanes }

        fileprivate var pauseEnd: SchedulerInstant? { if case .paused(let until) = stage { until } else { nil } }
    }

    var workers: OrderedDictionary<WorkerID, Worker> = [:]
    /// The regimes of the workers that have joined, also of those that are gone, whose results may come late.
    ///
    /// A name is a process's own, so its regime stays. Bound: ``namesMax``; the oldest is forgotten.
    private var regimeByName: OrderedDictionary<WorkerID, NumericRegime> = [:]
    private static let namesMax = 4096

    /// Adds a worker.
    mutating func add(_ worker: WorkerID, _ capacity: WorkerCapacity, at now: SchedulerInstant) {
        workers[worker] = Worker(capacity: capacity, lastHeard: now)
        regimeByName[worker] = capacity.regime
        if regimeByName.count > Self.namesMax { regimeByName.removeFirst() }
    }

    /// The numeric regime of a worker that is present or was; `nil` for one that never joined.
    func regime(of worker: WorkerID) -> NumericRegime? { regimeByName[worker] }

    /// The numeric regimes of the workers, sorted.
    var regimes: [NumericRegime] { Set(workers.values.map(\.capacity.regime)).sorted() }

    /// The first instant at which a worker is lost or takes units again; `nil` without workers.
    func nextInstant(timeout: Duration) -> SchedulerInstant? {
        let expiries = workers.values.lazy.map { $0.lastHeard.advanced(by: timeout) }
        return [expiries.min(), workers.values.lazy.compactMap(\.pauseEnd).min()].compactMap { $0 }.min()
    }

    /// Gives a worker no new units until an instant; a leaving worker gets none anyway.
    mutating func pause(_ worker: WorkerID, until instant: SchedulerInstant) {
        if workers[worker]?.isDraining == false { workers[worker]?.stage = .paused(until: instant) }
    }

    /// Lets workers take units again whose pause is over.
    mutating func resume(at now: SchedulerInstant) {
        for worker in workers.keys where workers[worker]?.pauseEnd.map({ $0 <= now }) == true {
            workers[worker]?.stage = .working
        }
    }

    /// Notes that a leaving worker was ordered to drain or to leave.
    mutating func noteFarewellOrder(to worker: WorkerID, at now: SchedulerInstant) {
        guard case .draining(let isConfirmed, _) = workers[worker]?.stage else { return }
        workers[worker]?.stage = .draining(isConfirmed: isConfirmed, told: now)
    }

    /// The workers that were not heard for longer than `timeout`.
    func expired(at now: SchedulerInstant, timeout: Duration) -> [WorkerID] {
        workers.filter { $0.value.lastHeard.advanced(by: timeout) <= now }.map(\.key)
    }
}
