public import Identifiers
import JobPlan
import OrderedCollections

/// What was given to whom, as far as attempts tell.
extension Scheduler {
    /// Whether an attempt of a unit was given, in this life of the coordinator or an earlier one.
    ///
    /// - Returns: `nil` when no such job runs, so that nothing can follow from what is said of it.
    public func hasGiven(_ attempt: Attempt, of unit: UnitReference) -> Bool? {
        guard let job = jobs[unit.job] else { return nil }
        return job.plan.units.indices.contains(unit.unit.position) && job.hasGiven(attempt, of: unit.unit)
    }
}
