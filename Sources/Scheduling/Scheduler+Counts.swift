import Identifiers
public import JobPlan
import OrderedCollections

/// How many units are where; nothing here changes the scheduler.
extension Scheduler {
    /// Where a unit is.
    public enum UnitPlace: String, CaseIterable, Hashable, Sendable {
        /// Units that it depends on are not finished.
        case waiting
        /// It could be computed.
        case ready
        /// Somebody has it.
        case leased
        /// It waits for room on a disk.
        case resting
        /// Its result is known.
        case finished
    }

    /// A kind of unit in a place.
    public struct UnitGroup: Hashable, Sendable {
        /// The kind.
        public var stage: UnitStage
        /// The place.
        public var place: UnitPlace

        /// Names a kind in a place.
        public init(stage: UnitStage, place: UnitPlace) {
            self.stage = stage
            self.place = place
        }
    }

    /// The units of all running jobs, by kind and place; groups without a unit are absent.
    public var unitCounts: [UnitGroup: Int] {
        var counts: [UnitGroup: Int] = [:]
        for job in jobs.values where job.outcome == nil {
            for unit in job.plan.units {
                let place: UnitPlace =
                    switch job.states[unit.index.position] {
                    case .waiting: .waiting
                    case .ready: .ready
                    case .leased: .leased
                    case .resting: .resting
                    case .finished: .finished
                    }
                counts[UnitGroup(stage: UnitStage(unit.operation), place: place), default: 0] += 1
            }
        }
        return counts
    }
}
