import Identifiers
import JobPlan
import OrderedCollections
import UnitOperations

/// Units that take much longer than others of their kind are computed a second time by an idle worker.
///
/// The first result is used; both have the same bytes.
extension Scheduler {
    /// A unit in progress that has taken too long.
    private struct Straggler {
        var unit: UnitReference
        var worker: WorkerID
        var memoryBytes: UInt64
        /// How many times as long as expected it has taken.
        var excess: Double
    }

    mutating func repeatStragglers(_ now: SchedulerInstant, _ effects: inout SchedulerEffects) {
        guard !roster.index.idle.isEmpty, hasStraggler(now) else { return }
        let stragglers = stragglers(now)
        for idle in roster.index.idle.elements.map(\.worker) {
            guard let state = roster.workers[idle], let unit = slowest(of: stragglers, for: idle, state),
                let job = jobs[unit.job]
            else { continue }
            let attempt = nextAttempt(of: unit)
            jobs[unit.job]?.twins[unit.unit] = JobProgress.Twin(worker: idle, attempt: attempt)
            let planned = job.plan.units[unit.unit.position]
            let key = job.plan.key(of: planned) { job.result(of: $0) }
            let lease = newLease(of: unit, planned.cost, attempt, key: key, at: now)
            roster.update(idle) { $0.leases[unit] = lease }
            effects.order(.lease(LeasedUnit(unit, attempt)), to: idle)
            effects.notices.append(.stragglerRepeated(LeasedUnit(unit, attempt), on: idle))
        }
    }

    /// Notes that a unit in progress may become a straggler.
    mutating func noteStart(of unit: UnitReference, on worker: WorkerID) {
        guard let lease = roster.workers[worker]?.leases[unit], let startedAt = lease.startedAt,
            let stage = read(unit.job, { $0.plan.units[unit.unit.position].stage })
        else { return }
        started.note(
            StartedUnits.Start(instant: startedAt, unit: unit, attempt: lease.attempt, worker: worker),
            of: StartedUnits.Kind(job: unit.job, stage: stage, nominalSeconds: lease.nominalSeconds))
    }

    /// Whether any unit has taken too long.
    private mutating func hasStraggler(_ now: SchedulerInstant) -> Bool {
        started.kinds.contains { kind in
            let first = started.first(of: kind) { start in
                guard let lease = roster.workers[start.worker]?.leases[start.unit] else { return false }
                return lease.attempt == start.attempt && !Self.hasTwin(start.unit, in: jobs)
            }
            return first.flatMap { excess(of: $0.unit, since: $0.instant, now) } != nil
        }
    }

    /// All units that have taken too long, in the order of their workers.
    private func stragglers(_ now: SchedulerInstant) -> [Straggler] {
        roster.workers.flatMap { worker, state in
            state.leases.compactMap { unit, lease in
                lease.startedAt.flatMap { excess(of: unit, since: $0, now) }.map {
                    Straggler(unit: unit, worker: worker, memoryBytes: lease.memoryBytes, excess: $0)
                }
            }
        }
    }

    /// The one on another worker that exceeds its expected time by the largest factor.
    private func slowest(
        of stragglers: [Straggler], for idle: WorkerID, _ thief: WorkerRoster.Worker
    ) -> UnitReference? {
        var best: Straggler?
        for straggler in stragglers where straggler.worker != idle {
            let unit = straggler.unit
            guard straggler.excess > best?.excess ?? 0, !Self.hasTwin(unit, in: jobs),
                thief.fits(straggler.memoryBytes), mayTry(unit, idle), hasInputs(unit)
            else { continue }
            best = straggler
        }
        return best?.unit
    }

    /// How many times as long as expected a unit has taken; `nil` when that is not too long.
    private func excess(of unit: UnitReference, since startedAt: SchedulerInstant, _ now: SchedulerInstant) -> Double? {
        guard let expected = expectedSeconds(of: unit) else { return nil }
        let elapsed = (now.sinceStart - startedAt.sinceStart) / .seconds(1)
        let excess = elapsed / expected
        guard elapsed > settings.stragglerMinimum / .seconds(1), excess > settings.stragglerFactor else { return nil }
        return excess
    }

    /// The expected seconds of a unit, from its cost and the pace of its kind; `nil` before one of its kind has
    /// finished.
    private func expectedSeconds(of unit: UnitReference) -> Double? {
        let expected = read(unit.job) { job -> Double? in
            let planned = job.plan.units[unit.unit.position]
            guard let pace = job.pace[planned.stage], pace.nominal > 0, pace.elapsed > 0 else { return nil }
            return planned.cost.nominalSeconds * pace.elapsed / pace.nominal
        }
        return expected ?? nil
    }

    /// Whether a unit has a second lease.
    private static func hasTwin(_ unit: UnitReference, in jobs: OrderedDictionary<JobID, JobProgress>) -> Bool {
        jobs.index(forKey: unit.job).map { jobs.values[$0].twins[unit.unit] != nil } ?? false
    }
}
