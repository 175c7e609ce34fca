import Identifiers
import JobPlan
import OrderedCollections

extension Scheduler {
    /// What does not hold of what must always hold, for tests: checked after every event.
    ///
    /// - Returns: A sentence for each violation; empty when all is well.
    public func violatedInvariants() -> [String] {
        var violations: [String] = []
        var leased: Set<UnitReference> = []
        for (worker, state) in roster.workers {
            if state.leasedMemory > state.capacity.memoryBytes {
                violations.append("\(worker) holds \(state.leasedMemory) bytes of \(state.capacity.memoryBytes)")
            }
            for (unit, lease) in state.leases {
                if !leased.insert(unit).inserted { violations.append("\(unit) is leased twice") }
                if jobs[unit.job]?.states[unit.unit.position] != .leased(.worker(worker), lease.attempt) {
                    violations.append("\(worker) holds \(unit), whose state does not say so")
                }
            }
        }
        if coordinatorLeases.count > settings.coordinatorLanes {
            violations.append("the coordinator has \(coordinatorLeases.count) units")
        }
        let queued = (workerQueue.entries + coordinatorQueue.entries).map(\.reference)
        for unit in queued where jobs[unit.job]?.states[unit.unit.position] != .ready {
            violations.append("\(unit) is in a queue and not ready")
        }
        if Set(queued).count != queued.count { violations.append("a unit is in a queue twice") }
        for (id, job) in jobs { violations += violatedInvariants(of: id, job, leased: leased, queued: Set(queued)) }
        return violations
    }

    private func violatedInvariants(
        of id: JobID, _ job: JobProgress, leased: Set<UnitReference>, queued: Set<UnitReference>
    ) -> [String] {
        var violations: [String] = []
        for unit in job.plan.units {
            let reference = UnitReference(job: id, unit: unit.index)
            let missing = unit.dependencies.filter { !job.isFinished($0) }.count
            switch job.states[unit.index.position] {
            case .waiting(let count) where count != missing || count == 0:
                violations.append("\(reference) waits for \(count) units, \(missing) are missing")
            case .ready where missing > 0:
                violations.append("\(reference) is ready, but \(missing) units are missing")
            case .ready where job.outcome == nil && !queued.contains(reference):
                violations.append("\(reference) is ready and in no queue")
            case .leased(.worker, _) where job.outcome == nil && !leased.contains(reference):
                violations.append("\(reference) is leased and nobody has it")
            case .leased(.coordinator, let attempt)
            where job.outcome == nil && !coordinatorLeases.contains(LeasedUnit(reference, attempt)):
                violations.append("\(reference) is leased and the coordinator does not have it")
            case .ready where job.outcome != nil && queued.contains(reference):
                violations.append("\(reference) is in a queue, but its job has ended")
            default: break
            }
        }
        if job.unfinishedCount != job.plan.units.count(where: { !job.isFinished($0.index) }) {
            violations.append("\(id) miscounts its unfinished units")
        }
        if job.unfinishedCount == 0, job.outcome == nil { violations.append("\(id) is done and has not ended") }
        return violations
    }
}
