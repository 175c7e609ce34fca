import Identifiers
import UnitOperations

/// The workers in the orders in which the scheduler asks for them, so that no event walks over all workers.
///
/// Ties are in the order of joining.
struct RosterIndex: Sendable {
    /// A worker, in the order of joining.
    struct Place: Comparable, Sendable {
        var number: Int
        var worker: WorkerID

        static func < (left: Place, right: Place) -> Bool { left.number < right.number }
        static func == (left: Place, right: Place) -> Bool { left.number == right.number }
    }

    /// A worker, by its load.
    struct Load: Comparable, Sendable {
        var leases: Int
        var lanes: Int
        var place: Place

        static func < (left: Load, right: Load) -> Bool {
            // Compare leases / lanes without a division.
            let (a, b) = (left.leases * right.lanes, right.leases * left.lanes)
            return a != b ? a < b : left.place < right.place
        }
    }

    /// A worker, by an instant.
    struct Moment: Comparable, Sendable {
        var instant: SchedulerInstant
        var place: Place

        static func < (left: Moment, right: Moment) -> Bool {
            left.instant != right.instant ? left.instant < right.instant : left.place < right.place
        }
    }

    /// A worker, by its memory.
    struct Memory: Comparable, Sendable {
        var bytes: UInt64
        var place: Place

        static func < (left: Memory, right: Memory) -> Bool {
            left.bytes != right.bytes ? left.bytes < right.bytes : left.place < right.place
        }
    }

    /// What decides in which orders a worker stands, and where.
    struct Standing: Equatable, Sendable {
        var load: Load?
        var isIdle = false
        var hasFreeLane = false
        var hasMovableUnit = false
        var isDraining = false
        var pauseEnd: SchedulerInstant?
        var lastHeard: SchedulerInstant
        var leaseEnd: SchedulerInstant?
    }

    /// Workers with room for another unit, the least loaded first.
    private(set) var withRoom = SortedParts<Load>()
    /// Workers that take units and have none.
    private(set) var idle = SortedParts<Place>()
    /// Workers that take units and have a free lane.
    private(set) var withFreeLane = SortedParts<Place>()
    /// Workers with a queued unit that an idle worker may be given.
    private(set) var withMovableUnit = SortedParts<Place>()
    /// Workers that leave.
    private(set) var draining = SortedParts<Place>()
    /// Workers that take no units until an instant.
    private(set) var paused = SortedParts<Moment>()
    /// Workers by the instant at which they were last heard.
    private(set) var heard = SortedParts<Moment>()
    /// Workers by the first instant at which one of their leases ends.
    private(set) var leaseEnds = SortedParts<Moment>()
    /// Workers by their memory.
    private(set) var memories = SortedParts<Memory>()

    mutating func add(_ place: Place, _ standing: Standing, memoryBytes: UInt64) {
        memories.insert(Memory(bytes: memoryBytes, place: place))
        heard.insert(Moment(instant: standing.lastHeard, place: place))
        change(place, from: Standing(lastHeard: standing.lastHeard), to: standing)
    }

    mutating func remove(_ place: Place, _ standing: Standing, memoryBytes: UInt64) {
        change(place, from: standing, to: Standing(lastHeard: standing.lastHeard))
        heard.remove(Moment(instant: standing.lastHeard, place: place))
        memories.remove(Memory(bytes: memoryBytes, place: place))
    }

    /// Moves a worker to its new places.
    mutating func change(_ place: Place, from old: Standing, to new: Standing) {
        if old.load != new.load {
            if let load = old.load { withRoom.remove(load) }
            if let load = new.load { withRoom.insert(load) }
        }
        Self.change(&idle, place, from: old.isIdle, to: new.isIdle)
        Self.change(&withFreeLane, place, from: old.hasFreeLane, to: new.hasFreeLane)
        Self.change(&withMovableUnit, place, from: old.hasMovableUnit, to: new.hasMovableUnit)
        Self.change(&draining, place, from: old.isDraining, to: new.isDraining)
        Self.change(&paused, place, from: old.pauseEnd, to: new.pauseEnd)
        Self.change(&heard, place, from: old.lastHeard, to: new.lastHeard)
        Self.change(&leaseEnds, place, from: old.leaseEnd, to: new.leaseEnd)
    }

    private static func change(_ order: inout SortedParts<Place>, _ place: Place, from old: Bool, to new: Bool) {
        guard old != new else { return }
        if new { order.insert(place) } else { order.remove(place) }
    }

    private static func change(
        _ order: inout SortedParts<Moment>, _ place: Place, from old: SchedulerInstant?, to new: SchedulerInstant?
    ) {
        guard old != new else { return }
        if let old { order.remove(Moment(instant: old, place: place)) }
        if let new { order.insert(Moment(instant: new, place: place)) }
    }
}

extension SortedParts<RosterIndex.Moment> {
    /// The workers up to an instant, in the order of joining.
    func workers(until instant: SchedulerInstant) -> [WorkerID] {
        elements.prefix { $0.instant <= instant }.map(\.place).sorted().map(\.worker)
    }
}
