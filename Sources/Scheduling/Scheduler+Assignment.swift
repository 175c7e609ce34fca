import Identifiers
import JobPlan
import OrderedCollections
import UnitOperations

/// Placement: a pure function of the ready units, the workers, and the places of the blobs.
///
/// Placement never changes a byte of a result.
extension Scheduler {
    /// Assigns ready units to workers and to the coordinator.
    mutating func assignWork(_ now: SchedulerInstant, _ effects: inout SchedulerEffects) {
        assignCoordinatorWork(&effects)
        assignWorkerUnits(now, &effects)
        moveQueuedUnits(now, &effects)
        repeatStragglers(now, &effects)
    }

    /// Assigns files to the coordinator, once all of their blobs are collected.
    private mutating func assignCoordinatorWork(_ effects: inout SchedulerEffects) {
        for entry in queues.coordinator.entries where coordinatorLeases.count < settings.coordinatorLanes {
            let unit = entry.reference
            // An entry may be waiting again: the check of an earlier entry can revive one of its inputs.
            guard state(of: unit) == .ready, !fileWaits.isKnownToWait(unit, ledger),
                let revived = read(unit.job, { $0.revived.count }),
                let inputs = read(unit.job, { $0.inputs(of: unit.unit) ?? [] }),
                checkInputs(of: unit, revivals: settings.revivalsForFilesMax - revived, &effects) == .available
            else { continue }
            let missing = inputs.filter { !ledger.stored.contains($0.blob.digest) }
            for input in missing { ledger.want(input.blob.digest) }
            fileWaits.note(unit, missing: missing.last?.blob.digest, ledger)
            guard missing.isEmpty else { continue }
            queues.coordinator.remove(entry)
            let lease = LeasedUnit(unit, lease(unit, to: .coordinator))
            coordinatorLeases.insert(lease)
            effects.coordinatorWork.append(lease)
        }
    }

    /// The next unit for a worker: from a layer at home there, from a layer without a home, or from one whose home has
    /// no free lane.
    mutating func nextUnit(for worker: WorkerID, _ effects: inout SchedulerEffects) -> ReadyQueue.Entry? {
        guard let state = roster.workers[worker] else { return nil }
        if let entry = reservedEntry(for: worker) {
            // A reserved worker gets nothing else until this unit fits.
            return entry.memoryBytes <= state.freeMemory && isStillReady(entry, &effects) ? entry : nil
        }
        var passed: ReadyQueue.Entry?
        let entry = ownUnit(for: worker, state, &passed, &effects)
        if let passed, jobs[passed.reference.job] != nil, entry != nil, isPassedOverTooOften(passed, by: worker) {
            return nil
        }
        return entry ?? unitOfAnotherHome(for: worker, state.freeMemory, &effects)
    }

    /// The first unit that fits the worker now, from layers at home there or nowhere.
    ///
    /// - Parameters:
    ///   - worker: The worker.
    ///   - state: The worker's state.
    ///   - passed: The first earlier unit that would fit if the worker had no other units.
    ///   - effects: Receives the effects.
    /// - Returns: The unit, or `nil` when there is none.
    private mutating func ownUnit(
        for worker: WorkerID, _ state: WorkerRoster.Worker, _ passed: inout ReadyQueue.Entry?,
        _ effects: inout SchedulerEffects
    ) -> ReadyQueue.Entry? {
        let room = state.freeMemory
        for entry in queues.workers.homed[worker, default: ReadyQueue()].entries {
            if fits(entry, room, worker), isStillReady(entry, &effects) { return entry }
            if passed == nil, entry.memoryBytes > room, fits(entry, state.capacity.memoryBytes, worker) {
                passed = entry
            }
        }
        // Nothing fits, so nothing can pass either.
        guard let least = queues.workers.leastUnhomedMemory, least <= room else { return nil }
        var (next, toSettle) = (queues.workers.unhomed.first, ReadyQueue.Entry?.none)
        while next != nil {
            // Settle outside of the walk, because a queue that changes during a walk is copied.
            toSettle = nil
            for entry in queues.workers.unhomed.entries(from: next) {
                guard fits(entry, room, worker) else {
                    if passed == nil, fits(entry, state.capacity.memoryBytes, worker) { passed = entry }
                    continue
                }
                // An earlier entry has given the group a home.
                if let home = queues.workers.home(of: entry), home != worker { continue }
                guard isStillReady(entry, &effects) else { continue }
                guard let group = queues.workers.group(of: entry), queues.workers.homes[group] == nil else {
                    return entry
                }
                toSettle = entry
                break
            }
            guard let entry = toSettle, let group = queues.workers.group(of: entry) else { return nil }
            next = queues.workers.unhomed.first(after: entry)
            let home = holder(of: group) ?? worker
            queues.workers.settle(group, at: home)
            if home == worker { return entry }
        }
        return nil
    }

    /// Whether a queued unit can be leased now: its inputs exist, and no other job is computing the same.
    private mutating func isStillReady(_ entry: ReadyQueue.Entry, _ effects: inout SchedulerEffects) -> Bool {
        let unit = entry.reference
        if state(of: unit) == .ready, !isComputedForAnother(unit), hasInputs(unit) { return true }
        // It may become ready without a change of any queue.
        search.isSettled = false
        guard state(of: unit) == .ready, !isComputedForAnother(unit) else { return false }
        return checkInputs(of: unit, revivals: revivalsAllowed(for: unit), &effects) == .available
    }

    /// Whether a worker with this much free memory may be given a unit.
    private mutating func fits(_ entry: ReadyQueue.Entry, _ room: UInt64, _ worker: WorkerID) -> Bool {
        // Who may try a unit that has failed depends on all workers.
        if read(entry.reference.job, { $0.failures[entry.reference.unit] != nil }) == true { search.isSettled = false }
        return entry.memoryBytes <= room && mayTry(entry.reference, worker)
    }

    /// The worker that holds the most bytes of a group's outputs, if any.
    private func holder(of group: WorkQueues.Group) -> WorkerID? {
        guard let job = jobs[group.job] else { return nil }
        var bytes: OrderedDictionary<WorkerID, UInt64> = [:]
        for unit in job.accepted.members[group.number] ?? [] {
            for blob in job.result(of: unit)?.blobs ?? [] {
                for worker in ledger.holders[blob.digest] ?? [] where roster.workers[worker]?.isDraining == false {
                    bytes[worker, default: 0] &+= blob.byteCount
                }
            }
        }
        return bytes.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key
    }

    /// A unit of a layer that is at home on another worker.
    ///
    /// A unit that its home cannot compute comes first. Otherwise, if this worker has a free lane and the home has
    /// none, it is the largest of the most urgent units that is worth the transfer.
    private mutating func unitOfAnotherHome(
        for worker: WorkerID, _ room: UInt64, _ effects: inout SchedulerEffects
    ) -> ReadyQueue.Entry? {
        let isIdle = roster.hasFreeLane(worker) == true
        // A home that takes all of its units only loses them to a free lane.
        guard !homesTakeAllUnits else { return isIdle ? longestMovableUnit(for: worker, room, &effects) : nil }
        var best: ReadyQueue.Entry?
        for home in queues.workers.nonEmptyHomes.elements.lazy.map(\.worker) where home != worker {
            guard let queue = queues.workers.homed[home] else { continue }
            let isBusy = roster.hasFreeLane(home) == false
            for entry in queue.entries.prefix(WorkQueues.visibleUnits) where fits(entry, room, worker) {
                if !canTake(entry.reference, home) {
                    search.isSettled = false
                    if isStillReady(entry, &effects) { return entry }
                }
                guard isIdle, isBusy, entry.nominalSeconds > best?.nominalSeconds ?? -1,
                    isWorthMoving(entry.reference, to: worker), isStillReady(entry, &effects)
                else { continue }
                best = entry
            }
        }
        return best
    }

    /// The same where every home takes all of its units.
    ///
    /// A thousand homes are searched for each free lane, so a home without a longer unit is passed at once.
    private mutating func longestMovableUnit(
        for worker: WorkerID, _ room: UInt64, _ effects: inout SchedulerEffects
    ) -> ReadyQueue.Entry? {
        var best: ReadyQueue.Entry?
        for home in queues.workers.movableHomes.elements where home.longestSeconds > best?.nominalSeconds ?? -1 {
            let name = home.place.worker
            guard name != worker, roster.hasFreeLane(name) == false, let queue = queues.workers.homed[name] else {
                continue
            }
            for entry in queue.entries.prefix(WorkQueues.visibleUnits)
            where entry.mayMove && entry.nominalSeconds > best?.nominalSeconds ?? -1 && fits(entry, room, worker)
                && isWorthMoving(entry.reference, to: worker) && isStillReady(entry, &effects)
            {
                best = entry
            }
        }
        return best
    }

    /// Whether every home will compute all of its units, now or when it has room.
    var homesTakeAllUnits: Bool {
        guard roster.index.paused.isEmpty, roster.index.draining.isEmpty else { return false }
        let least = roster.index.memories.first?.bytes ?? 0
        return jobs.values.allSatisfy { $0.failures.isEmpty && $0.accepted.largestMemory <= least }
    }

    /// Whether a unit's home will compute it, now or when it has room.
    private func canTake(_ unit: UnitReference, _ home: WorkerID) -> Bool {
        guard let state = roster.workers[home], let memory = cost(of: unit)?.memoryBytes else { return false }
        return state.takesUnits && memory <= state.capacity.memoryBytes && mayTry(unit, home)
    }

    /// Whether a unit takes longer than the transfer of its inputs and outputs.
    func isWorthMoving(_ unit: UnitReference, to worker: WorkerID) -> Bool {
        guard let cost = cost(of: unit), isWorthMoving(cost, missingBytes: 0) else { return false }
        let inputs = (read(unit.job) { $0.inputs(of: unit.unit) ?? [] } ?? []).map(\.blob)
        return isWorthMoving(cost, missingBytes: ledger.missingBytes(of: inputs, at: worker))
    }

    /// Whether a unit takes longer than the transfer of inputs of so many bytes and of its outputs.
    func isWorthMoving(_ cost: UnitCost, missingBytes: UInt64) -> Bool {
        let bytes = 2 * (Double(missingBytes) + Double(cost.outputBytes))
        return cost.multiplyAdds / 1e11 > bytes / 1e9
    }

    /// Whether a unit has not failed on a worker, or has failed on all workers that could compute it.
    func mayTry(_ unit: UnitReference, _ worker: WorkerID) -> Bool {
        let failures = read(unit.job) { $0.failures[unit.unit] }
        guard let failed = failures ?? nil, failed.contains(.worker(worker)) else { return true }
        return !hasWorker(for: unit, besides: Set(failed))
    }

    /// Whether another worker stays and has the memory for a unit.
    func hasWorker(for unit: UnitReference, besides failed: Set<UnitExecutorName>) -> Bool {
        guard let memory = cost(of: unit)?.memoryBytes else { return false }
        return roster.workers.contains { !failed.contains(.worker($0.key)) && $0.value.stays(withRoomFor: memory) }
    }

    /// A lease that begins now.
    func newLease(
        of unit: UnitReference, _ cost: UnitCost, _ attempt: Attempt, key: UnitKey?, at now: SchedulerInstant
    ) -> WorkerRoster.Lease {
        WorkerRoster.Lease(
            attempt: attempt, key: key, memoryBytes: cost.memoryBytes, nominalSeconds: cost.nominalSeconds,
            patience: patience(withUnitOf: cost.nominalSeconds), mayMove: isWorthMoving(cost, missingBytes: 0),
            isBrief: cost.isBrief && read(unit.job) { $0.suspects.contains(unit.unit) } != true, renewedAt: now)
    }

    mutating func give(
        _ unit: UnitReference, to worker: WorkerID, _ now: SchedulerInstant, _ effects: inout SchedulerEffects
    ) {
        guard let cost = cost(of: unit) else { return }
        let attempt = lease(unit, to: .worker(worker))
        if read(unit.job, { $0.mixed.contains(unit.unit) }) == true {
            // A unit that moves from one worker to another may read other inputs than before.
            releaseKey(of: unit)
            change(unit.job) { $0.keys[unit.unit] = nil }
        }
        let key = key(of: unit)
        if let key { shared.begin(unit, key) }
        let lease = newLease(of: unit, cost, attempt, key: key, at: now)
        roster.update(worker) { $0.leases[unit] = lease }
        effects.order(.lease(LeasedUnit(unit, attempt)), to: worker)
    }

    /// Marks a unit as leased under its next attempt.
    private mutating func lease(_ unit: UnitReference, to executor: UnitExecutorName) -> Attempt {
        let attempt = nextAttempt(of: unit)
        change(unit.job) { $0.states[unit.unit.position] = .leased(executor, attempt) }
        return attempt
    }

    mutating func nextAttempt(of unit: UnitReference) -> Attempt {
        let attempt = (read(unit.job) { $0.attempts[unit.unit.position] } ?? Attempt(0)).next
        change(unit.job) { $0.attempts[unit.unit.position] = attempt }
        return attempt
    }

    /// Moves the largest queued units of busy workers to workers with idle lanes.
    private mutating func moveQueuedUnits(_ now: SchedulerInstant, _ effects: inout SchedulerEffects) {
        guard !roster.index.withMovableUnit.isEmpty else { return }
        let idleWorkers = roster.index.withFreeLane.elements.map(\.worker)
        for idle in idleWorkers where reservations.workers[idle] == nil {
            while !roster.index.withMovableUnit.isEmpty, let state = roster.workers[idle], state.hasFreeLane,
                let (victim, unit, lease) = largestQueuedUnit(for: idle, state)
            {
                roster.update(victim) { $0.leases[unit] = nil }
                effects.order(.revoke(LeasedUnit(unit, lease.attempt)), to: victim)
                give(unit, to: idle, now, &effects)
                effects.notices.append(.unitMoved(unit, from: victim, to: idle))
            }
        }
    }

    private func largestQueuedUnit(
        for idle: WorkerID, _ thief: WorkerRoster.Worker
    ) -> (WorkerID, UnitReference, WorkerRoster.Lease)? {
        var best: (WorkerID, UnitReference, WorkerRoster.Lease)?
        for worker in roster.index.withMovableUnit.elements.map(\.worker) {
            guard let state = roster.workers[worker] else { continue }
            // The first units of a worker's queue are about to start, so only those beyond its lanes are moved.
            for (unit, lease) in state.leases.elements.dropFirst(state.capacity.lanes)
            where !lease.hasStarted && lease.mayMove && thief.fits(lease.memoryBytes) && mayTry(unit, idle)
                && thief.leases[unit] == nil && jobs[unit.job]?.twins[unit.unit] == nil
                && isWorthMoving(unit, to: idle) && hasInputs(unit)
            {
                if lease.nominalSeconds > best?.2.nominalSeconds ?? -1 { best = (worker, unit, lease) }
            }
        }
        return best
    }

    /// Reports once for each job which unit needs a larger worker, and again when the largest worker changes.
    mutating func noteUnitsThatFitNobody(_ effects: inout SchedulerEffects) {
        guard let largest = roster.largestMemory else { return }
        for (id, job) in jobs
        where job.accepted.largestMemory > largest && reservations.isNews(of: id, largestMemory: largest) {
            let waiting = queues.workers.unhomed.entries.first { $0.reference.job == id && $0.memoryBytes > largest }
            guard let waiting else { continue }
            reservations.noteTold(of: id, largestMemory: largest)
            effects.notices.append(.noWorkerFits(waiting.reference, memoryBytes: waiting.memoryBytes))
        }
    }
}
