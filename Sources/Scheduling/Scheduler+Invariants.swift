import Identifiers
import JobPlan
import OrderedCollections
import UnitOperations

extension Scheduler {
    /// The violated invariants, for tests; checked after every event.
    ///
    /// - Returns: One sentence for each violation; empty when there is none.
    public func violatedInvariants() -> [String] {
        var violations: [String] = []
        var leased: [UnitReference: Int] = [:]
        for (worker, state) in roster.workers {
            if state.leasedMemory > state.capacity.memoryBytes {
                violations.append("\(worker) holds \(state.leasedMemory) bytes of \(state.capacity.memoryBytes)")
            }
            for (unit, lease) in state.leases {
                leased[unit, default: 0] += 1
                if !holds(LeasedUnit(unit, lease.attempt), .worker(worker)) {
                    violations.append("\(worker) holds \(unit), whose state does not say so")
                }
                if state.isDraining, !lease.hasStarted { violations.append("\(worker) drains and holds \(unit)") }
            }
        }
        if coordinatorLeases.count > settings.coordinatorLanes {
            violations.append("the coordinator has \(coordinatorLeases.count) units")
        }
        for (unit, count) in leased where count > 2 { violations.append("\(unit) is leased \(count) times") }
        violations += ledger.violatedInvariants(
            workers: Array(roster.workers.keys), collectionsMax: settings.collectionsPerWorker)
        let queued = (queues.workers.entries + Array(queues.coordinator.entries)).map(\.reference)
        for unit in queued where jobs[unit.job]?.states[unit.unit.position] != .ready {
            violations.append("\(unit) is in a queue and not ready")
        }
        if Set(queued).count != queued.count { violations.append("a unit is in a queue twice") }
        for lease in coordinatorLeases where jobs[lease.unit.job] != nil {
            if !holds(lease, .coordinator) {
                violations.append("the coordinator has \(lease.unit), whose state does not say so")
            }
        }
        for (key, unit) in shared.underWay where !leased.keys.contains(unit) {
            violations.append("\(unit) holds key \(key) and nobody computes it")
        }
        for unit in queues.resting where jobs[unit.job] == nil {
            violations.append("\(unit) rests and its job has ended")
        }
        if jobs.isEmpty, !queues.hasNoneReady || shared.hasUnsettled {
            violations.append("units wait, and no job runs")
        }
        for (worker, unit) in reservations.workers
        where roster.workers[worker] == nil || jobs[unit.job]?.states[unit.unit.position] != .ready {
            violations.append("\(worker) is kept for \(unit), which does not wait")
        }
        if jobs.isEmpty, !shared.isEmpty || !fileWaits.isEmpty || !reservations.isEmpty || !started.isEmpty {
            violations.append("something is remembered of jobs that have ended")
        }
        violations += violatedIndexInvariants()
        for (id, job) in jobs {
            violations += violatedInvariants(of: id, job, leased: Set(leased.keys), queued: Set(queued))
        }
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
            case .ready where !queued.contains(reference):
                violations.append("\(reference) is ready and in no queue")
            case .leased(.worker(let worker), let attempt)
            where roster.workers[worker]?.leases[reference]?.attempt != attempt:
                violations.append("\(reference) is leased to \(worker), who does not have it")
            case .leased(.coordinator, let attempt)
            where !coordinatorLeases.contains(LeasedUnit(reference, attempt)):
                violations.append("\(reference) is leased and the coordinator does not have it")
            case .resting where !queues.resting.contains(reference):
                violations.append("\(reference) rests and is not woken")
            default: break
            }
        }
        for (unit, twin) in job.twins
        where roster.workers[twin.worker]?.leases[
            UnitReference(job: id, unit: unit)]?.attempt != twin.attempt
        {
            violations.append("\(id)/\(unit) has a second lease that \(twin.worker) does not have")
        }
        if job.unfinishedCount != job.plan.units.count(where: { !job.isFinished($0.index) }) {
            violations.append("\(id) miscounts its unfinished units")
        }
        if job.unfinishedCount == 0 { violations.append("\(id) is done and has not ended") }
        return violations
    }
}

extension BlobLedger {
    /// The violated invariants of the ledger.
    func violatedInvariants(workers: [WorkerID], collectionsMax: Int) -> [String] {
        var violations: [String] = []
        let orderCounts = wishes.orderCounts
        for worker in workers where orderCounts[worker] ?? 0 > collectionsMax {
            violations.append("more than \(collectionsMax) blobs are collected from \(worker)")
        }
        for (worker, blobs) in holdings where !blobs.isEmpty {
            if !workers.contains(worker) { violations.append("\(worker) is gone and holds blobs") }
            for blob in blobs.keys where holders[blob]?.contains(worker) != true {
                violations.append("\(worker) holds \(blob), which does not know it")
            }
        }
        for (blob, worker) in wishes.ordered {
            if !wishes.contains(blob) { violations.append("\(blob) is collected and not wanted") }
            if !holds(worker, blob) { violations.append("\(blob) is collected from \(worker), who does not have it") }
        }
        for blob in wishes.blobs where stored.contains(blob) { violations.append("\(blob) is wanted and stored") }
        return violations
    }
}
