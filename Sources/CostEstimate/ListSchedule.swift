import HeapModule

/// Units on lanes, each begun as soon as a lane is free and its inputs are there, the most urgent first.
///
/// A unit's urgency is the time from its start to the end along the longest path, as in the scheduler. The makespan of
/// such a schedule is at most twice the shortest possible one (Graham 1969).
struct ListSchedule {
    /// A unit to be scheduled.
    struct Unit {
        /// Its seconds on a lane.
        var seconds: Double
        /// Whether a lane of the workers computes it; otherwise one of the coordinator.
        var isForWorker: Bool
        /// Positions of the units before it; all are smaller than its own.
        var dependencies: [Int]
    }

    /// A unit that waits for a lane, or a lane for the end of a unit.
    private struct Entry: Comparable {
        /// The urgency, or the time of the end.
        var key: Double
        var position: Int

        static func < (left: Entry, right: Entry) -> Bool {
            // Of two units, the one that stands first in the plan is the more urgent.
            (left.key, -left.position) < (right.key, -right.position)
        }
    }

    private let units: [Unit]
    private var freeLanes: Int
    private var freeCoordinatorLanes: Int
    private var urgencies: [Double]
    private var missing: [Int]
    private var dependents: [[Int]]
    private var ready = Heap<Entry>()
    private var readyForCoordinator = Heap<Entry>()
    private var running = Heap<Entry>()

    /// The seconds from the first start to the last end.
    static func makespan(of units: [Unit], lanes: Int, coordinatorLanes: Int) -> Double {
        var schedule = ListSchedule(units, lanes: lanes, coordinatorLanes: coordinatorLanes)
        return schedule.run()
    }

    private init(_ units: [Unit], lanes: Int, coordinatorLanes: Int) {
        self.units = units
        freeLanes = max(1, lanes)
        freeCoordinatorLanes = max(1, coordinatorLanes)
        urgencies = units.map(\.seconds)
        missing = units.map(\.dependencies.count)
        dependents = Array(repeating: [], count: units.count)
        for (position, unit) in units.enumerated() {
            for dependency in unit.dependencies { dependents[dependency].append(position) }
        }
        for position in units.indices.reversed() {
            urgencies[position] += dependents[position].map { urgencies[$0] }.max() ?? 0
        }
    }

    private mutating func run() -> Double {
        for position in units.indices where missing[position] == 0 { makeReady(position) }
        var now = 0.0
        begin(at: now)
        while let ended = running.popMin() {
            now = ended.key
            finish(ended.position)
            // Units that end at once make room at once.
            while let other = running.min, other.key == now {
                running.removeMin()
                finish(other.position)
            }
            begin(at: now)
        }
        return now
    }

    private mutating func makeReady(_ position: Int) {
        let entry = Entry(key: urgencies[position], position: position)
        if units[position].isForWorker { ready.insert(entry) } else { readyForCoordinator.insert(entry) }
    }

    private mutating func begin(at now: Double) {
        while freeLanes > 0, let entry = ready.popMax() {
            freeLanes -= 1
            running.insert(Entry(key: now + units[entry.position].seconds, position: entry.position))
        }
        while freeCoordinatorLanes > 0, let entry = readyForCoordinator.popMax() {
            freeCoordinatorLanes -= 1
            running.insert(Entry(key: now + units[entry.position].seconds, position: entry.position))
        }
    }

    private mutating func finish(_ position: Int) {
        if units[position].isForWorker { freeLanes += 1 } else { freeCoordinatorLanes += 1 }
        for dependent in dependents[position] {
            missing[dependent] -= 1
            if missing[dependent] == 0 { makeReady(dependent) }
        }
    }
}
