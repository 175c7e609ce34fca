import Identifiers
import JobPlan
import OrderedCollections

/// Placement: a pure function of what is ready and who is there. It can never change a byte of a result.
extension Scheduler {
    /// Gives ready units to whoever can take them.
    mutating func assignWork(_ effects: inout SchedulerEffects) {
        assignCoordinatorWork(&effects)
        assignWorkerUnits(&effects)
        moveQueuedUnits(&effects)
    }

    private mutating func assignCoordinatorWork(_ effects: inout SchedulerEffects) {
        while coordinatorLeases.count < settings.coordinatorLanes, let entry = coordinatorQueue.entries.first {
            coordinatorQueue.remove(entry)
            let lease = LeasedUnit(entry.reference, lease(entry.reference, to: .coordinator))
            coordinatorLeases.insert(lease)
            effects.coordinatorWork.append(lease)
        }
    }

    private mutating func assignWorkerUnits(_ effects: inout SchedulerEffects) {
        var isProgressing = true
        while isProgressing {
            isProgressing = false
            for worker in workersByLoad() {
                guard let entry = nextUnit(for: worker) else { continue }
                workerQueue.remove(entry)
                give(entry.reference, to: worker, &effects)
                isProgressing = true
                break
            }
        }
        noteUnitsThatFitNobody(&effects)
    }

    /// The workers with room for another unit, the least loaded first; equals stand in the order of their joining.
    private func workersByLoad() -> [WorkerID] {
        roster.workers.elements.enumerated()
            .filter { $0.element.value.leases.count < $0.element.value.capacity.lanes + settings.queuedUnitsPerWorker }
            .sorted { left, right in
                let (a, b) = (left.element.value, right.element.value)
                // leases / lanes, compared without division.
                let (loadA, loadB) = (a.leases.count * b.capacity.lanes, b.leases.count * a.capacity.lanes)
                return (loadA, left.offset) < (loadB, right.offset)
            }
            .map(\.element.key)
    }

    /// The most urgent unit that fits a worker and has not failed there while others could try.
    private func nextUnit(for worker: WorkerID) -> ReadyQueue.Entry? {
        guard let state = roster.workers[worker] else { return nil }
        return workerQueue.entries.first { entry in
            guard let job = jobs[entry.reference.job] else { return false }
            let memory = job.plan.units[entry.reference.unit.position].cost.memoryBytes
            return state.fits(memory) && mayTry(entry.reference, worker)
        }
    }

    /// Whether a unit has not failed at a worker, or has failed at all that could compute it.
    private func mayTry(_ unit: UnitReference, _ worker: WorkerID) -> Bool {
        guard let job = jobs[unit.job], let failed = job.failures[unit.unit], failed.contains(.worker(worker))
        else { return true }
        let memory = job.plan.units[unit.unit.position].cost.memoryBytes
        return !roster.workers.contains {
            !failed.contains(.worker($0.key)) && $0.value.capacity.memoryBytes >= memory
        }
    }

    private mutating func give(_ unit: UnitReference, to worker: WorkerID, _ effects: inout SchedulerEffects) {
        guard let cost = jobs[unit.job]?.plan.units[unit.unit.position].cost else { return }
        let attempt = lease(unit, to: .worker(worker))
        roster.workers[worker]?.leases[unit] = WorkerRoster.Lease(
            attempt: attempt, memoryBytes: cost.memoryBytes, nominalSeconds: cost.nominalSeconds, hasStarted: false)
        effects.orders.append(.lease(worker, LeasedUnit(unit, attempt)))
    }

    /// Marks a unit as leased under its next attempt.
    private mutating func lease(_ unit: UnitReference, to executor: UnitExecutorName) -> Attempt {
        let attempt = (jobs[unit.job]?.attempts[unit.unit.position] ?? Attempt(0)).next
        jobs[unit.job]?.attempts[unit.unit.position] = attempt
        jobs[unit.job]?.states[unit.unit.position] = .leased(executor, attempt)
        return attempt
    }

    /// Moves the largest queued units of busy workers to those that have lanes with nothing to do.
    private mutating func moveQueuedUnits(_ effects: inout SchedulerEffects) {
        for idle in roster.workers.keys {
            while let state = roster.workers[idle], state.leases.count < state.capacity.lanes,
                let (victim, unit, lease) = largestQueuedUnit(for: idle, state)
            {
                roster.workers[victim]?.leases[unit] = nil
                effects.orders.append(.revoke(victim, LeasedUnit(unit, lease.attempt)))
                give(unit, to: idle, &effects)
                effects.notices.append(.unitMoved(unit, from: victim, to: idle))
            }
        }
    }

    private func largestQueuedUnit(
        for idle: WorkerID, _ thief: WorkerRoster.Worker
    ) -> (WorkerID, UnitReference, WorkerRoster.Lease)? {
        var best: (WorkerID, UnitReference, WorkerRoster.Lease)?
        for (worker, state) in roster.workers where state.leases.count > state.capacity.lanes {
            // The first units of a worker's queue are about to start; only what lies behind its lanes is moved.
            for (unit, lease) in state.leases.elements.dropFirst(state.capacity.lanes)
            where !lease.hasStarted && thief.fits(lease.memoryBytes) && mayTry(unit, idle) {
                if lease.nominalSeconds > best?.2.nominalSeconds ?? -1 { best = (worker, unit, lease) }
            }
        }
        return best
    }

    private func noteUnitsThatFitNobody(_ effects: inout SchedulerEffects) {
        guard let largest = roster.workers.values.map(\.capacity.memoryBytes).max() else { return }
        for entry in workerQueue.entries {
            guard let memory = jobs[entry.reference.job]?.plan.units[entry.reference.unit.position].cost.memoryBytes,
                memory > largest
            else { continue }
            effects.notices.append(.noWorkerFits(entry.reference, memoryBytes: memory))
            return
        }
    }
}
