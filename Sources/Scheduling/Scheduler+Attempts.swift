public import Identifiers
import JobPlan
import OrderedCollections

/// Which attempts were leased.
extension Scheduler {
    /// Whether an attempt of a unit was leased, before or after a restart of the coordinator.
    ///
    /// - Returns: `nil` when the job does not run; the attempt then proves nothing.
    public func hasGiven(_ attempt: Attempt, of unit: UnitReference) -> Bool? {
        read(unit.job) { $0.unit(at: unit.unit) != nil && $0.hasGiven(attempt, of: unit.unit) }
    }
}
