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
        for (id, job) in jobs { violations += violatedInvariants(of: id, job, leased: leased) }
        return violations
    }

    private func violatedInvariants(of id: JobID, _ job: JobProgress, leased: Set<UnitReference>) -> [String] {
        var violations: [String] = []
        let queued = Set((workerQueue.entries + coordinatorQueue.entries).map(\.reference))
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
            default: break
            }
        }
        if job.unfinishedCount != job.plan.units.count(where: { !job.isFinished($0.index) }) {
            violations.append("\(id) miscounts its unfinished units")
        }
        return violations
    }
}
