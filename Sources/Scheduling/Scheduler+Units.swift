import Identifiers
import JobPlan
import OrderedCollections
import UnitOperations

/// The transitions of units: ready, finished, failed, resting.
extension Scheduler {
    mutating func finish(
        _ leased: LeasedUnit, _ executor: UnitExecutorName, _ result: UnitResult, _ duration: UnitTiming,
        _ now: SchedulerInstant, _ effects: inout SchedulerEffects
    ) {
        let unit = leased.unit
        let wasHeld = holds(leased, executor)
        if case .worker(let worker) = executor, roster.workers[worker] != nil {
            for blob in kept(result, of: unit) { ledger.add(blob, heldBy: worker) }
            search.changed.insert(worker)
            if roster.workers[worker]?.isDraining == true { rescueIsDue = true }
            lookAtRevivedUnits()
        } else {
            // An unknown worker: it will be told to greet, and then offers the blobs.
            ledger.expect(
                kept(result, of: unit).map(\.digest), until: now.advanced(by: settings.workerTimeout))
        }
        guard let planned = read(unit.job, { $0.unit(at: unit.unit) }) ?? nil else {
            dropLease(leased, executor)
            return
        }
        // Only the coordinator writes files, so no worker can have finished one. And after the state was restored or
        // emptied, a job of the same name may be another job.
        guard planned.isForWorker == (executor != .coordinator), hasGiven(leased.attempt, of: unit) == true else {
            return
        }
        guard !planned.isForWorker || result.blobs.count == planned.blobCount else {
            let failure = UnitFailure(
                kind: .world, message: "the result has \(result.blobs.count) blobs, which is not what was asked for")
            if wasHeld { retry(leased, executor, failure, now, &effects) }
            return
        }
        let lease = lease(of: leased, at: executor)
        dropLease(leased, executor)
        if let known = read(unit.job, { $0.result(of: unit.unit) }) ?? nil {
            if !known.agrees(with: result), mustAgree(unit, executor) {
                effects.notices.append(.resultsDiffer(leased, by: executor))
            }
            return
        }
        // Results that were made of the first result stay valid. Later units read the second.
        if let earlier = read(unit.job, { $0.revived[unit.unit] }) ?? nil, !earlier.agrees(with: result),
            mustAgree(unit, executor)
        {
            effects.notices.append(.resultsDiffer(leased, by: executor))
        }
        // Without all inputs the unit has no key. Then it was computed before a coordinator's restart or the loss of an
        // input, and the result is as good. A result of an unknown regime has no key either.
        if !wasHeld { effects.notices.append(.lateResultUsed(leased, by: executor)) }
        revokeHolders(of: unit, &effects)
        record(.unitFinished(unit, executor, result, duration, resultKey(of: unit, from: executor, lease)), &effects)
        if read(unit.job, { $0.unfinishedCount }) == 0 { end(unit.job, .succeeded, &effects) }
    }

    /// The blobs of a result that its worker keeps.
    func kept(_ result: UnitResult, of unit: UnitReference) -> [BlobReference] {
        guard let outputs = read(unit.job, { $0.accepted.outputsForFilesAlone }), !outputs.isEmpty else {
            return result.blobs
        }
        return result.blobs.enumerated().filter { position, _ in
            !(result.hasPlaced(position) && outputs.contains(UnitOutput(unit.unit, position)))
        }.map(\.element)
    }

    /// The key of a result that a worker has just reported.
    private mutating func resultKey(
        of unit: UnitReference, from executor: UnitExecutorName, _ lease: WorkerRoster.Lease?
    ) -> ResultKey? {
        guard let regime = regime(of: executor) else { return nil }
        // Nobody remembers what a superseded attempt has read.
        if lease == nil, read(unit.job, { $0.mixed.contains(unit.unit) }) == true { return nil }
        return (lease?.key ?? key(of: unit)).map { ResultKey($0, in: regime) }
    }

    /// The lease of exactly this attempt, if a worker still holds it.
    private func lease(of leased: LeasedUnit, at executor: UnitExecutorName) -> WorkerRoster.Lease? {
        guard case .worker(let worker) = executor, let lease = roster.workers[worker]?.leases[leased.unit] else {
            return nil
        }
        return lease.attempt == leased.attempt ? lease : nil
    }

    /// The numeric regime of a worker that is connected or was.
    private func regime(of executor: UnitExecutorName) -> NumericRegime? {
        guard case .worker(let worker) = executor else { return nil }
        return roster.regime(of: worker)
    }

    /// Whether two results of a unit must agree: they may differ if their regimes or their inputs differ, or if one
    /// regime is unknown.
    private func mustAgree(_ unit: UnitReference, _ executor: UnitExecutorName) -> Bool {
        guard let job = jobs[unit.job], !job.mixed.contains(unit.unit) else { return false }
        guard let first = job.regimes[unit.unit], let second = regime(of: executor) else { return false }
        return first == second
    }

    mutating func fail(
        _ leased: LeasedUnit, _ executor: UnitExecutorName, _ failure: UnitFailure, _ now: SchedulerInstant,
        _ effects: inout SchedulerEffects
    ) {
        // The failure of a superseded attempt does not concern the current attempt.
        guard holds(leased, executor) else {
            dropLease(leased, executor)
            return
        }
        retry(leased, executor, failure, now, &effects)
    }

    /// Counts a failure, and queues the unit again or ends its job.
    mutating func retry(
        _ leased: LeasedUnit, _ executor: UnitExecutorName, _ failure: UnitFailure, _ now: SchedulerInstant,
        _ effects: inout SchedulerEffects
    ) {
        let unit = leased.unit
        guard let progress = jobs[unit.job] else { return }
        switch failure.kind {
        case .inputMissing:
            waitForInputs(leased, executor, failure, now, &effects)
            return
        case .noSpace:
            if case .worker(let worker) = executor {
                // The pause is longer than the unit's rest, so that other workers get the unit first.
                roster.pause(worker, until: now.advanced(by: settings.pauseDelay * 2))
            }
            rest(leased, executor, failure, now, &effects)
            return
        case .badInput, .world, .workerLost: break
        }
        let hasOtherWorker = hasWorkerWithoutFailure(of: unit, besides: executor)
        let memory = progress.plan.units[unit.unit.position].cost.memoryBytes
        let title = progress.plan.units[unit.unit.position].title
        effects.records.append(.unitFailed(unit, executor, failure))
        let isGivenUp =
            jobs[unit.job]?.countFailure(
                of: unit.unit, by: executor, failuresMax: settings.failuresMax, hasOtherWorker: hasOtherWorker) ?? false
        giveBack(leased, executor)
        guard failure.kind != .badInput else {
            end(unit.job, .failed(failure), &effects)
            return
        }
        let count = jobs[unit.job]?.failures[unit.unit]?.count ?? 0
        guard !isGivenUp else {
            // A worker that vanishes may have been killed for its memory; no other failure depends on memory.
            let note = failure.kind == .workerLost ? " (the unit needs \(memory >> 20) MiB of memory)" : ""
            let message =
                "\(title): gave up after \(count) failures, the last on \(executor): \(failure.message)\(note)"
            end(unit.job, .failed(UnitFailure(kind: failure.kind, message: message)), &effects)
            return
        }
        effects.notices.append(.unitRetried(leased, by: executor, failure, failures: count))
    }

    /// An input was lost during a unit's lease.
    ///
    /// It is nobody's failure, but must not repeat endlessly.
    ///
    /// After the first loss the unit is ready at once. Later too, if the loss is known, because then the input is made
    /// again first. Otherwise, and after a few failed attempts, the unit waits longer each time, so that a disk that
    /// loses everything is not worn out.
    private mutating func waitForInputs(
        _ leased: LeasedUnit, _ executor: UnitExecutorName, _ failure: UnitFailure, _ now: SchedulerInstant,
        _ effects: inout SchedulerEffects
    ) {
        let unit = leased.unit
        giveBack(leased, executor)
        guard let job = jobs[unit.job] else { return }
        let count = (job.inputLosses[unit.unit] ?? 0) + 1
        jobs[unit.job]?.inputLosses[unit.unit] = count
        effects.notices.append(.inputsLost(leased, by: executor, reason: failure.message))
        guard count < settings.inputLossesMax else {
            let title = job.plan.units[unit.unit.position].title
            let message =
                "\(title): gave up after its inputs were lost \(count) times, the last on \(executor): "
                + "\(failure.message) Check the disks of the coordinator's state and of the workers' caches."
            end(unit.job, .failed(UnitFailure(kind: .inputMissing, message: message)), &effects)
            return
        }
        guard count > 1, hasInputs(unit) || count > 3 else { return }
        postpone(unit, doublings: count - 2, now)
    }

    /// Lets a unit without a lease rest before it is leased again, longer each time.
    private mutating func postpone(_ unit: UnitReference, doublings: Int, _ now: SchedulerInstant) {
        guard jobs[unit.job]?.states[unit.unit.position] == .ready else { return }
        dequeue(unit)
        let delay = settings.pauseDelay * (1 << min(doublings, settings.pauseDoublingsMax))
        jobs[unit.job]?.states[unit.unit.position] = .resting(until: now.advanced(by: delay))
        queues.resting.append(unit)
    }

    /// A disk is full: the unit rests, and this does not count as a failure.
    private mutating func rest(
        _ leased: LeasedUnit, _ executor: UnitExecutorName, _ failure: UnitFailure, _ now: SchedulerInstant,
        _ effects: inout SchedulerEffects
    ) {
        let unit = leased.unit
        giveBack(leased, executor)
        effects.notices.append(.unitPaused(leased, by: executor, reason: failure.message))
        jobs[unit.job]?.pauseReason = failure.message
        let rests = jobs[unit.job]?.rests[unit.unit] ?? 0
        jobs[unit.job]?.rests[unit.unit] = rests + 1
        // Each rest is longer, so that a large file that does not fit is not written continually.
        postpone(unit, doublings: rests, now)
    }

    private func hasWorkerWithoutFailure(of unit: UnitReference, besides executor: UnitExecutorName) -> Bool {
        guard executor != .coordinator else { return false }
        return hasWorker(for: unit, besides: Set(jobs[unit.job]?.failures[unit.unit] ?? []).union([executor]))
    }

    // MARK: - Results

    mutating func setFinished(
        _ unit: UnitReference, _ executor: UnitExecutorName, _ result: UnitResult, _ duration: UnitTiming
    ) {
        guard let planned = read(unit.job, { $0.unit(at: unit.unit) }) ?? nil else { return }
        change(unit.job) {
            $0.durations[unit.unit] = duration
            $0.executors[unit.unit] = executor
            guard executor != .earlierWork else { return }
            $0.pace[planned.stage, default: (0, 0)].elapsed += duration.elapsedSeconds
            $0.pace[planned.stage]?.nominal += planned.cost.nominalSeconds
        }
        markFinished(unit, result)
    }

    private mutating func markFinished(_ unit: UnitReference, _ result: UnitResult) {
        dequeue(unit)
        queues.resting.remove(unit)
        releaseKey(of: unit)
        if let job = read(unit.job, { $0.accepted }) {
            for position in (job.collected[unit.unit] ?? []).sorted()
            where !result.hasPlaced(position)
                || settings.collectsForWorkers && job.collectedForWorkers.contains(UnitOutput(unit.unit, position))
            {
                if let blob = result.blob(at: position) { ledger.want(blob.digest) }
            }
        }
        var ready: [UnitIndex] = []
        change(unit.job) { ready = $0.finish(unit.unit, result) }
        for unblocked in ready { enqueue(UnitReference(job: unit.job, unit: unblocked)) }
    }

    /// A unit's key, when its inputs are known.
    mutating func key(of unit: UnitReference) -> UnitKey? {
        if let key = read(unit.job, { $0.keys[unit.unit] }) ?? nil { return key }
        let computed = read(unit.job) { job in
            job.plan.key(of: job.plan.units[unit.unit.position]) { job.result(of: $0) }
        }
        guard let key = computed else { return nil }
        change(unit.job) { $0.keys[unit.unit] = key }
        return key
    }

    /// A unit is no longer computed, so equal units need not wait for it.
    mutating func releaseKey(of unit: UnitReference) {
        if let key = read(unit.job, { $0.keys[unit.unit] }) ?? nil { shared.end(unit, key) }
    }

    /// Finishes the units whose results are known from earlier work, one after the other.
    mutating func settleKnownUnits(_ effects: inout SchedulerEffects) {
        // A job's results should have one regime. So results of a regime that no connected worker has are not used.
        let regimes = roster.regimes
        while let unit = shared.nextUnsettled() {
            guard read(unit.job, { $0.isFinished(unit.unit) }) == false else { continue }
            if let earlier = read(unit.job, { $0.revived[unit.unit] }) ?? nil {
                restore(unit, earlier, &effects)
                continue
            }
            guard read(unit.job, { $0.plan.units[unit.unit.position].isForWorker }) == true, let key = key(of: unit)
            else { continue }
            guard let (resultKey, result) = known.result(of: key, in: regimes) else {
                if state(of: unit) == .ready { shared.wait(unit, for: key) }
                continue
            }
            revokeHolders(of: unit, &effects)
            rescueIsDue = true
            let timing = UnitTiming(elapsedSeconds: 0, kernelSeconds: 0)
            record(.unitFinished(unit, .earlierWork, result, timing, resultKey), &effects)
        }
    }

    /// The blobs of a revived unit are back, so it need not be computed.
    private mutating func restore(_ unit: UnitReference, _ result: UnitResult, _ effects: inout SchedulerEffects) {
        guard result.blobs.allSatisfy({ ledger.isAvailable($0.digest) }) else { return }
        revokeHolders(of: unit, &effects)
        effects.notices.append(.unitRestored(unit))
        markFinished(unit, result)
    }

    // MARK: - Queues

    mutating func enqueueReadyUnits(of job: JobID) {
        guard let progress = jobs[job] else { return }
        let ready = progress.plan.units.filter { progress.states[$0.index.position] == .ready }
        // Insert them together, because there may be a hundred thousand.
        let entries = ready.filter(\.isForWorker).map { entry(for: UnitReference(job: job, unit: $0.index)) }
        queues.workers.insert(ofNewJob: entries)
        shared.settleLater(entries.map(\.reference))
        for unit in ready where !unit.isForWorker {
            queues.coordinator.insert(entry(for: UnitReference(job: job, unit: unit.index)))
        }
    }

    mutating func enqueue(_ unit: UnitReference) {
        guard state(of: unit) == .ready else { return }
        if read(unit.job, { $0.plan.units[unit.unit.position].isForWorker }) == true {
            queues.workers.insert(entry(for: unit))
            shared.settleLater([unit])
        } else {
            queues.coordinator.insert(entry(for: unit))
        }
    }

    mutating func dequeue(_ unit: UnitReference) {
        queues.remove(entry(for: unit))
        reservations.release(unit)
    }

    func entry(for unit: UnitReference) -> ReadyQueue.Entry {
        let known = read(unit.job) { job in
            let planned = job.plan.units[unit.unit.position]
            return ReadyQueue.Entry(
                jobNumber: job.number, rank: job.accepted.ranks[unit.unit.position], reference: unit,
                group: planned.group, memoryBytes: planned.cost.memoryBytes,
                nominalSeconds: planned.cost.nominalSeconds, mayMove: isWorthMoving(planned.cost, missingBytes: 0))
        }
        return known
            ?? ReadyQueue.Entry(
                jobNumber: 0, rank: 0, reference: unit, group: nil, memoryBytes: 0, nominalSeconds: 0, mayMove: false)
    }
}
