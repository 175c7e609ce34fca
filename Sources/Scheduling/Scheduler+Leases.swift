public import Identifiers
import JobPlan
import OrderedCollections
import UnitOperations

/// Leases: who holds which attempt of a unit, and for how long.
extension Scheduler {
    /// Whether an executor holds exactly this attempt of a unit, as its first or its second lease.
    func holds(_ leased: LeasedUnit, _ executor: UnitExecutorName) -> Bool {
        let unit = leased.unit
        return read(unit.job) { job in
            guard job.states.indices.contains(unit.unit.position) else { return false }
            if job.states[unit.unit.position] == .leased(executor, leased.attempt) { return true }
            guard case .worker(let worker) = executor else { return false }
            return job.twins[unit.unit] == JobProgress.Twin(worker: worker, attempt: leased.attempt)
        } ?? false
    }

    /// Whether the reports on a lease may wait for others, because its unit is brief.
    public func isBrief(_ leased: LeasedUnit, on worker: WorkerID) -> Bool {
        guard let lease = roster.workers[worker]?.leases[leased.unit] else { return false }
        return lease.attempt == leased.attempt && lease.isBrief
    }

    /// Removes a lease from its holder without telling it.
    mutating func dropLease(_ leased: LeasedUnit, _ executor: UnitExecutorName) {
        switch executor {
        case .coordinator: coordinatorLeases.remove(leased)
        case .worker(let worker):
            if roster.workers[worker]?.leases[leased.unit]?.attempt == leased.attempt {
                roster.update(worker) { $0.leases[leased.unit] = nil }
            }
        case .earlierWork: break
        }
    }

    /// Removes all leases of a unit, and tells the workers.
    mutating func revokeHolders(of unit: UnitReference, _ effects: inout SchedulerEffects) {
        guard read(unit.job, { $0.states.indices.contains(unit.unit.position) }) == true else { return }
        if case .leased(.worker(let worker), let attempt) = state(of: unit) {
            revoke(LeasedUnit(unit, attempt), worker, &effects)
        }
        var second: JobProgress.Twin?
        change(unit.job) { second = $0.twins.removeValue(forKey: unit.unit) }
        if let twin = second {
            revoke(LeasedUnit(unit, twin.attempt), twin.worker, &effects)
        }
    }

    private mutating func revoke(_ leased: LeasedUnit, _ worker: WorkerID, _ effects: inout SchedulerEffects) {
        guard roster.workers[worker]?.leases[leased.unit]?.attempt == leased.attempt else { return }
        effects.order(.revoke(leased), to: worker)
        roster.update(worker) { $0.leases[leased.unit] = nil }
    }

    /// One lease of a unit ended without a result.
    ///
    /// The other lease goes on, or the unit is ready again.
    mutating func giveBack(_ leased: LeasedUnit, _ executor: UnitExecutorName) {
        dropLease(leased, executor)
        search.isSettled = false
        let unit = leased.unit
        guard let job = jobs[unit.job] else { return }
        if let twin = job.twins[unit.unit] {
            jobs[unit.job]?.twins[unit.unit] = nil
            if job.states[unit.unit.position] == .leased(executor, leased.attempt) {
                jobs[unit.job]?.states[unit.unit.position] = .leased(.worker(twin.worker), twin.attempt)
            }
            if case .leased(.worker(let other), _) = jobs[unit.job]?.states[unit.unit.position] {
                noteStart(of: unit, on: other)
            }
            return
        }
        guard job.states[unit.unit.position] == .leased(executor, leased.attempt) else { return }
        releaseKey(of: unit)
        jobs[unit.job]?.keys[unit.unit] = nil
        jobs[unit.job]?.states[unit.unit.position] = job.openState(of: unit.unit)
        enqueue(unit)
    }

    // MARK: - Progress

    mutating func start(_ leased: LeasedUnit, _ worker: WorkerID, _ now: SchedulerInstant) {
        roster.update(worker) { $0.lastHeard = now }
        guard let lease = roster.workers[worker]?.leases[leased.unit], lease.attempt == leased.attempt,
            !lease.hasStarted
        else { return }
        roster.update(worker) {
            $0.leases[leased.unit]?.startedAt = now
            $0.renew(leased.unit, at: now)
        }
        noteStart(of: leased.unit, on: worker)
    }

    mutating func progress(
        _ worker: WorkerID, _ progress: [UnitProgress], _ now: SchedulerInstant, _ effects: inout SchedulerEffects
    ) {
        guard roster.workers[worker] != nil else { return }
        hear(worker, now, &effects)
        for entry in progress {
            let unit = entry.unit.unit
            guard let lease = roster.workers[worker]?.leases[unit], lease.attempt == entry.unit.attempt else {
                // The worker computes a unit that is not wanted, or not wanted any more.
                if !isStillWanted(unit) { effects.order(.revoke(entry.unit), to: worker) }
                continue
            }
            if !lease.hasStarted { start(entry.unit, worker, now) }
            roster.update(worker) {
                $0.leases[unit]?.reportedAt = now
                guard entry.steps > lease.steps else { return }
                $0.leases[unit]?.steps = entry.steps
                $0.renew(unit, at: now)
            }
        }
    }

    /// Whether a result of a unit would be used, from any worker.
    private func isStillWanted(_ unit: UnitReference) -> Bool {
        read(unit.job) { $0.states.indices.contains(unit.unit.position) && !$0.isFinished(unit.unit) } ?? false
    }

    /// How long a unit may go without progress.
    func patience(withUnitOf nominalSeconds: Double) -> Duration {
        settings.progressTimeout + .seconds(min(nominalSeconds, 1e6) * settings.nominalSecondsFactor)
    }

    /// Whether the delay is not the fault of the unit or its worker: an input must still be collected from another
    /// worker, or other units occupy all lanes.
    private func waitsForOthers(
        _ unit: UnitReference, _ lease: WorkerRoster.Lease, _ worker: WorkerRoster.Worker, _ now: SchedulerInstant
    ) -> Bool {
        let inputs = jobs[unit.job]?.blobsInUse(by: unit.unit) ?? []
        if inputs.contains(where: ledger.wishes.isAwaited) { return true }
        guard !lease.hasStarted else { return false }
        let underWay = worker.leases.values.count {
            $0.hasStarted && now < $0.end
        }
        return underWay >= worker.capacity.lanes
    }

    /// Ends leases of units without progress, even if their workers are heard.
    mutating func expireLeases(_ now: SchedulerInstant, _ effects: inout SchedulerEffects) {
        for (worker, state) in roster.withEndedLeases(at: now) {
            for (unit, lease) in state.leases
            where lease.end <= now && holds(LeasedUnit(unit, lease.attempt), .worker(worker)) {
                guard !waitsForOthers(unit, lease, state, now) else {
                    roster.update(worker) { $0.leases[unit]?.renewedAt = now }
                    continue
                }
                // A unit that the worker no longer reports was lost in transit. A unit that it still reports is stuck.
                let isStuck = lease.reportedAt.map { now < $0.advanced(by: settings.workerTimeout) } ?? false
                let leased = LeasedUnit(unit, lease.attempt)
                effects.notices.append(.leaseExpired(leased, worker, wasUnderWay: isStuck))
                effects.order(.revoke(leased), to: worker)
                guard isStuck else {
                    // Another worker may have a better connection.
                    roster.pause(worker, until: now.advanced(by: settings.pauseDelay))
                    giveBack(leased, .worker(worker))
                    continue
                }
                let failure = UnitFailure(
                    kind: .workerLost,
                    message: "worker \"\(worker)\" made no progress with the unit for \(lease.patience)")
                retry(leased, .worker(worker), failure, now, &effects)
            }
        }
    }
}
