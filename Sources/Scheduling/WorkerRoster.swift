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
        /// How long it may go without progress.
        var patience: Duration
        /// Whether its unit takes longer than the transfer of its outputs, so that it may move before it starts.
        var mayMove: Bool
        /// Whether its unit is brief: the worker may report its start with its end.
        var isBrief: Bool
        /// When its computation started, as far as known.
        var startedAt: SchedulerInstant?
        /// The last reported number of steps.
        var steps: UInt64 = 0
        /// When it was leased, started, or last made progress.
        var renewedAt: SchedulerInstant
        /// When the worker last reported it in progress.
        var reportedAt: SchedulerInstant?

        var hasStarted: Bool { startedAt != nil }

        /// When it ends if nothing renews it.
        var end: SchedulerInstant { renewedAt.advanced(by: patience) }
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
        /// Its place in the order of joining.
        fileprivate(set) var place: RosterIndex.Place
        /// Where it stands in the index.
        fileprivate var standing: RosterIndex.Standing

        fileprivate init(_ capacity: WorkerCapacity, _ place: RosterIndex.Place, at now: SchedulerInstant) {
            self.capacity = capacity
            self.place = place
            lastHeard = now
            standing = RosterIndex.Standing(lastHeard: now)
        }

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

        /// Whether it takes another unit beyond those that its lanes compute.
        fileprivate func hasRoom(_ queuedUnits: Int, _ queuedBriefUnits: Int) -> Bool {
            if leases.count < capacity.lanes + queuedUnits { return true }
            return leases.count < capacity.lanes + queuedBriefUnits && leases.values.allSatisfy(\.isBrief)
        }

        /// Renews the lease of a unit that made progress, and the leases of the units that wait behind it.
        mutating func renew(_ unit: UnitReference, at now: SchedulerInstant) {
            leases[unit]?.renewedAt = now
            for position in leases.values.indices where !leases.values[position].hasStarted {
                leases.values[position].renewedAt = now
            }
        }

        fileprivate var pauseEnd: SchedulerInstant? { if case .paused(let until) = stage { until } else { nil } }
    }

    /// The present workers, in the order of joining.
    private(set) var workers: OrderedDictionary<WorkerID, Worker> = [:]
    /// The same workers in other orders.
    private(set) var index = RosterIndex()
    /// The numeric regimes of the workers, sorted.
    private(set) var regimes: [NumericRegime] = []
    /// The number of workers of each regime.
    private var regimeCounts: [NumericRegime: Int] = [:]
    /// The regimes of the workers that have joined, also of those that are gone, whose results may come late.
    ///
    /// A name is a process's own, so its regime stays. Bound: ``namesMax``; the oldest is forgotten.
    private var regimeByName: OrderedDictionary<WorkerID, NumericRegime> = [:]
    private static let namesMax = 4096
    /// The workers whose room or units have changed since this was last taken note of.
    private(set) var changed: Set<WorkerID> = []
    private let queuedUnits: Int
    private let queuedBriefUnits: Int
    private var joinCount = 0

    init(_ settings: SchedulerSettings) {
        queuedUnits = settings.queuedUnitsPerWorker
        queuedBriefUnits = settings.queuedBriefUnitsPerWorker
    }

    /// Adds a worker.
    mutating func add(_ worker: WorkerID, _ capacity: WorkerCapacity, at now: SchedulerInstant) {
        var new = Worker(capacity, RosterIndex.Place(number: joinCount, worker: worker), at: now)
        joinCount += 1
        new.standing = standing(of: new)
        index.add(new.place, new.standing, memoryBytes: capacity.memoryBytes)
        changed.insert(worker)
        workers[worker] = new
        count(capacity.regime, 1)
        regimeByName[worker] = capacity.regime
        if regimeByName.count > Self.namesMax { regimeByName.removeFirst() }
    }

    /// Removes a worker.
    mutating func remove(_ worker: WorkerID) -> Worker? {
        guard let removed = workers.removeValue(forKey: worker) else { return nil }
        index.remove(removed.place, removed.standing, memoryBytes: removed.capacity.memoryBytes)
        count(removed.capacity.regime, -1)
        return removed
    }

    private mutating func count(_ regime: NumericRegime, _ change: Int) {
        let count = regimeCounts[regime, default: 0] + change
        regimeCounts[regime] = count > 0 ? count : nil
        if regimeCounts.count != regimes.count { regimes = regimeCounts.keys.sorted() }
    }

    /// Changes a worker; does nothing for one that is not present.
    ///
    /// Every change is made here, so that the index follows it.
    mutating func update(_ worker: WorkerID, _ change: (inout Worker) -> Void) {
        guard let position = workers.index(forKey: worker) else { return }
        change(&workers.values[position])
        let changed = workers.values[position]
        let new = standing(of: changed)
        guard new != changed.standing else { return }
        index.change(changed.place, from: changed.standing, to: new)
        if new.load != changed.standing.load { self.changed.insert(worker) }
        workers.values[position].standing = new
    }

    /// Adds a worker to an index, as it is now.
    func note(_ worker: Worker, in index: inout RosterIndex) {
        index.add(worker.place, standing(of: worker), memoryBytes: worker.capacity.memoryBytes)
    }

    private func standing(of worker: Worker) -> RosterIndex.Standing {
        var standing = RosterIndex.Standing(lastHeard: worker.lastHeard)
        let (count, lanes) = (worker.leases.count, worker.capacity.lanes)
        standing.isDraining = worker.isDraining
        standing.pauseEnd = worker.pauseEnd
        if worker.takesUnits {
            standing.isIdle = count == 0
            standing.hasFreeLane = worker.hasFreeLane
            if worker.hasRoom(queuedUnits, queuedBriefUnits) {
                standing.load = RosterIndex.Load(leases: count, lanes: max(1, lanes), place: worker.place)
            }
        }
        for (position, lease) in worker.leases.values.enumerated() {
            let end = lease.end
            if standing.leaseEnd.map({ end < $0 }) ?? true { standing.leaseEnd = end }
            if position >= lanes, !lease.hasStarted, lease.mayMove { standing.hasMovableUnit = true }
        }
        return standing
    }

    /// The numeric regime of a worker that is present or was; `nil` for one that never joined.
    func regime(of worker: WorkerID) -> NumericRegime? { regimeByName[worker] }

    /// A worker's place among those with room; `nil` for others.
    func load(of worker: WorkerID) -> RosterIndex.Load? {
        workers.index(forKey: worker).flatMap { workers.values[$0].standing.load }
    }

    /// Whether a worker takes units and has a free lane; `nil` for one that is not present.
    func hasFreeLane(_ worker: WorkerID) -> Bool? {
        workers.index(forKey: worker).map { workers.values[$0].standing.hasFreeLane }
    }

    mutating func forgetChanges() { changed.removeAll(keepingCapacity: true) }

    /// The memory of the largest worker; `nil` without workers.
    var largestMemory: UInt64? { index.memories.last?.bytes }

    /// The first instant at which a worker is lost or takes units again; `nil` without workers.
    func nextInstant(timeout: Duration) -> SchedulerInstant? {
        [index.heard.first?.instant.advanced(by: timeout), index.paused.first?.instant].compactMap { $0 }.min()
    }

    /// The first instant at which a lease ends.
    var nextLeaseEnd: SchedulerInstant? { index.leaseEnds.first?.instant }

    /// Gives a worker no new units until an instant; a leaving worker gets none anyway.
    mutating func pause(_ worker: WorkerID, until instant: SchedulerInstant) {
        if workers[worker]?.isDraining == false { update(worker) { $0.stage = .paused(until: instant) } }
    }

    /// Lets workers take units again whose pause is over.
    mutating func resume(at now: SchedulerInstant) {
        for worker in index.paused.workers(until: now) { update(worker) { $0.stage = .working } }
    }

    /// Notes that a leaving worker was ordered to drain or to leave.
    mutating func noteFarewellOrder(to worker: WorkerID, at now: SchedulerInstant) {
        guard case .draining(let isConfirmed, _) = workers[worker]?.stage else { return }
        update(worker) { $0.stage = .draining(isConfirmed: isConfirmed, told: now) }
    }

    /// The workers that were not heard for longer than `timeout`.
    func expired(at now: SchedulerInstant, timeout: Duration) -> [WorkerID] {
        index.heard.elements.prefix { $0.instant.advanced(by: timeout) <= now }
            .map(\.place).sorted().map(\.worker)
    }

    /// The workers with leases that end, as they are now.
    func withEndedLeases(at now: SchedulerInstant) -> [(WorkerID, Worker)] {
        index.leaseEnds.workers(until: now).compactMap { id in workers[id].map { (id, $0) } }
    }
}
