import Identifiers
import JobPlan
import OrderedCollections
import UnitOperations

/// Units that take much longer than others of their kind are computed a second time by an idle worker.
///
/// The first result is used; both have the same bytes.
extension Scheduler {
    mutating func repeatStragglers(_ now: SchedulerInstant, _ effects: inout SchedulerEffects) {
        for idle in roster.workers.keys {
            guard let state = roster.workers[idle], state.leases.isEmpty, state.takesUnits,
                let unit = slowestUnit(for: idle, state, now), let job = jobs[unit.job]
            else { continue }
            let attempt = nextAttempt(of: unit)
            jobs[unit.job]?.twins[unit.unit] = JobProgress.Twin(worker: idle, attempt: attempt)
            let planned = job.plan.units[unit.unit.position]
            let key = job.plan.key(of: planned) { job.result(of: $0) }
            let lease = newLease(of: planned.cost, attempt, key: key, at: now)
            roster.workers[idle]?.leases[unit] = lease
            effects.order(.lease(LeasedUnit(unit, attempt)), to: idle)
            effects.notices.append(.stragglerRepeated(LeasedUnit(unit, attempt), on: idle))
        }
    }

    /// The unit in progress on another worker that exceeds its expected time by the largest factor.
    private func slowestUnit(
        for idle: WorkerID, _ thief: WorkerRoster.Worker, _ now: SchedulerInstant
    ) -> UnitReference? {
        var best: (unit: UnitReference, excess: Double)?
        for (worker, state) in roster.workers where worker != idle {
            for (unit, lease) in state.leases {
                guard let startedAt = lease.startedAt, let expected = expectedSeconds(of: unit),
                    jobs[unit.job]?.twins[unit.unit] == nil, thief.fits(lease.memoryBytes), mayTry(unit, idle),
                    hasInputs(unit)
                else { continue }
                let elapsed = (now.sinceStart - startedAt.sinceStart) / .seconds(1)
                let excess = elapsed / expected
                guard elapsed > settings.stragglerMinimum / .seconds(1), excess > settings.stragglerFactor,
                    excess > best?.excess ?? 0
                else { continue }
                best = (unit, excess)
            }
        }
        return best?.unit
    }

    /// The expected seconds of a unit, from its cost and the pace of its kind; `nil` before one of its kind has
    /// finished.
    private func expectedSeconds(of unit: UnitReference) -> Double? {
        guard let job = jobs[unit.job], let pace = job.pace[job.plan.units[unit.unit.position].stage],
            pace.nominal > 0, pace.elapsed > 0
        else { return nil }
        return job.plan.units[unit.unit.position].cost.nominalSeconds * pace.elapsed / pace.nominal
    }
}
