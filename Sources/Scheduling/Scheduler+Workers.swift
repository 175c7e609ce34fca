import Identifiers
import JobPlan
import OrderedCollections
import UnitOperations

/// Workers join, are heard, drain, leave and are lost.
extension Scheduler {
    mutating func join(
        _ worker: WorkerID, _ capacity: WorkerCapacity, _ now: SchedulerInstant, _ effects: inout SchedulerEffects
    ) {
        guard roster.workers[worker] == nil else {
            // A greeting is repeated until it is answered. A restarted worker has another name, so this one still holds
            // its units and blobs.
            hear(.worker(worker), now)
            return
        }
        let isNewRegime = !roster.regimes.contains(capacity.regime)
        roster.add(worker, capacity, at: now)
        if isNewRegime { lookAtReadyUnits() }
        effects.notices.append(.workerJoined(worker))
    }

    /// Known results of the worker's regime can be used now.
    private mutating func lookAtReadyUnits() {
        for (id, job) in jobs {
            shared.settleLater(
                job.plan.units.filter { $0.isForWorker && job.states[$0.index.position] == .ready }
                    .map { UnitReference(job: id, unit: $0.index) })
        }
    }

    mutating func hear(_ executor: UnitExecutorName, _ now: SchedulerInstant) {
        if case .worker(let worker) = executor { roster.update(worker) { $0.lastHeard = now } }
    }

    mutating func hear(_ worker: WorkerID, _ now: SchedulerInstant, _ effects: inout SchedulerEffects) {
        roster.update(worker) { $0.lastHeard = now }
        repeatFarewellOrder(worker, now, &effects)
    }

    mutating func lose(
        _ worker: WorkerID, reason: String, isFarewell: Bool = false, _ now: SchedulerInstant,
        _ effects: inout SchedulerEffects
    ) {
        guard let lost = roster.remove(worker) else { return }
        rescueIsDue = true
        reservations.remove(worker)
        let units = lost.leases.count
        effects.forgotten.append(worker)
        effects.notices.append(
            isFarewell
                ? .workerLeft(worker, reason: reason, units: units)
                : .workerLost(worker, reason: reason, units: units))
        queues.workers.removeHome(worker)
        // The worker may return soon and offer its blobs; until that is decided, none of them is made again.
        let mayReturnUntil = lost.isDraining ? nil : now.advanced(by: settings.workerTimeout)
        ledger.removeAll(heldBy: worker, mayReturnUntil: mayReturnUntil)
        for (unit, lease) in lost.leases {
            let leased = LeasedUnit(unit, lease.attempt)
            guard holds(leased, .worker(worker)) else { continue }
            // A farewell is not a failure of the unit: the worker may be restarted for maintenance.
            guard lease.hasStarted, !isFarewell else {
                if lease.isBrief, !isFarewell { change(unit.job) { $0.suspects.insert(unit.unit) } }
                giveBack(leased, .worker(worker))
                continue
            }
            let failure = UnitFailure(
                kind: .workerLost, message: "worker \"\(worker)\" was lost while it computed the unit (\(reason))")
            retry(leased, .worker(worker), failure, now, &effects)
        }
    }

    // MARK: - Draining

    mutating func drain(
        _ worker: WorkerID, isConfirmed: Bool, _ now: SchedulerInstant, _ effects: inout SchedulerEffects
    ) {
        guard let state = roster.workers[worker] else { return }
        hear(.worker(worker), now)
        if case .draining(let wasConfirmed, _) = state.stage {
            if isConfirmed, !wasConfirmed {
                roster.update(worker) { $0.stage = .draining(isConfirmed: true, told: nil) }
            }
            return
        }
        roster.update(worker) { $0.stage = .draining(isConfirmed: isConfirmed, told: isConfirmed ? nil : now) }
        reservations.remove(worker)
        rescueIsDue = true
        effects.notices.append(.workerDraining(worker))
        if !isConfirmed { effects.order(.drain, to: worker) }
        queues.workers.removeHome(worker)
        for (unit, lease) in state.leases where !lease.hasStarted {
            let leased = LeasedUnit(unit, lease.attempt)
            effects.order(.revoke(leased), to: worker)
            giveBack(leased, .worker(worker))
        }
    }

    /// Wants the blobs that only leaving workers have and that running jobs still read.
    mutating func rescueBlobsOfLeavingWorkers() {
        guard rescueIsDue else { return }
        rescueIsDue = false
        guard !roster.index.draining.isEmpty else { return }
        for blob in blobsStillRead where isHeldByLeavingWorkersOnly(blob) { ledger.want(blob) }
    }

    private func isHeldByLeavingWorkersOnly(_ blob: BlobDigest) -> Bool {
        guard let holders = ledger.holders[blob], !ledger.stored.contains(blob) else { return false }
        return holders.allSatisfy { roster.workers[$0]?.isDraining == true }
    }

    /// The existing blobs that unfinished units of running jobs read.
    var blobsStillRead: OrderedSet<BlobDigest> {
        OrderedSet(jobs.values.flatMap { $0.blobsStillRead() })
    }

    /// Dismisses drained workers that have finished their units, once no blob of theirs is wanted.
    mutating func dismissDrainedWorkers(_ now: SchedulerInstant, _ effects: inout SchedulerEffects) {
        for worker in roster.index.draining.elements.map(\.worker)
        where isReadyToLeave(worker) && !isRecentlyTold(worker, now) {
            effects.order(.dismiss, to: worker)
            roster.noteFarewellOrder(to: worker, at: now)
        }
    }

    private func isReadyToLeave(_ worker: WorkerID) -> Bool {
        guard let state = roster.workers[worker], state.isDraining, state.leases.isEmpty else { return false }
        return !ledger.wishes.blobs.contains { ledger.holds(worker, $0) && isHeldByLeavingWorkersOnly($0) }
    }

    /// Orders to leave may be lost.
    ///
    /// They are repeated with the worker's signs of life, but not with each one.
    private func isRecentlyTold(_ worker: WorkerID, _ now: SchedulerInstant) -> Bool {
        guard case .draining(_, let told?) = roster.workers[worker]?.stage else { return false }
        return now < told.advanced(by: .seconds(2))
    }

    private mutating func repeatFarewellOrder(
        _ worker: WorkerID, _ now: SchedulerInstant, _ effects: inout SchedulerEffects
    ) {
        guard case .draining(isConfirmed: false, _) = roster.workers[worker]?.stage, !isRecentlyTold(worker, now)
        else { return }
        effects.order(.drain, to: worker)
        roster.noteFarewellOrder(to: worker, at: now)
    }
}
