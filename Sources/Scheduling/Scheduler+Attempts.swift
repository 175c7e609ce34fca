public import Identifiers
import JobPlan
import OrderedCollections

/// Which attempts were leased.
extension Scheduler {
    /// Whether an attempt of a unit was leased, before or after a restart of the coordinator.
    ///
    /// - Returns: `nil` when the job does not run; the attempt then proves nothing.
    public func hasGiven(_ attempt: Attempt, of unit: UnitReference) -> Bool? {
        guard let job = jobs[unit.job] else { return nil }
        return job.plan.units.indices.contains(unit.unit.position) && job.hasGiven(attempt, of: unit.unit)
    }
}
