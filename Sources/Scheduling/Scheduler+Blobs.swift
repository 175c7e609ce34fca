import Identifiers
import JobPlan
import OrderedCollections
import UnitOperations

/// Blobs: which workers hold them, which are sent to the coordinator, and which must be made again.
extension Scheduler {
    mutating func noteBlobs(_ event: SchedulerEvent, _ now: SchedulerInstant) {
        rescueIsDue = true
        switch event {
        case .blobsHeld(let worker, let blobs):
            guard roster.workers[worker] != nil else { return }
            hear(.worker(worker), now)
            for blob in blobs { ledger.add(blob, heldBy: worker) }
            lookAtRevivedUnits()
        case .blobsDropped(let worker, let blobs):
            for blob in blobs { ledger.remove(blob, heldBy: worker) }
        case .blobWanted(let blob):
            // A stored blob would have been sent at once, so it is not stored any more.
            ledger.unstore(blob)
            ledger.want(blob, isAwaited: true)
        case .blobStored(let blob):
            ledger.store(blob.digest)
            lookAtRevivedUnits()
        case .blobUnreadable(let blob): ledger.unstore(blob)
        case .collectionFailed(let blob, let worker):
            ledger.failCollection(of: blob, from: worker)
        case .collectionPaused(let blob, let reason):
            ledger.pause(blob, until: now.advanced(by: settings.pauseDelay))
            for job in jobs.keys { jobs[job]?.pauseReason = reason }
        default: break
        }
    }

    /// Forgets the blobs that no file needs any more, without those that workers wait for.
    mutating func forgetUnneededWishes() {
        ledger.forgetWishes(except: Set(jobs.values.flatMap { $0.blobsStillRead { !$0.isForWorker } }))
    }

    /// Orders the blobs that the coordinator wants from workers, within each worker's bound.
    mutating func collectBlobs(_ now: SchedulerInstant, _ effects: inout SchedulerEffects) {
        guard !ledger.wishes.isEmpty else { return }
        for place in Array(ledger.open.unavailable.elements) {
            // The waiting worker gives its unit back. The unit's inputs are checked before it is leased again.
            ledger.forget(place.blob)
            effects.unavailable.append(place.blob)
        }
        while let (blob, worker) = ledger.nextCollection(limit: settings.collectionsPerWorker) {
            ledger.begin(blob, from: worker, until: now.advanced(by: settings.collectionTimeout))
            effects.order(.collect(blob), to: worker)
        }
    }

    /// Whether a unit's inputs are available now.
    enum InputState {
        /// All inputs are available.
        case available
        /// An input is missing, and may still be offered.
        case unsettled
        /// An input was missing, and the unit waits until it is made again.
        case revived
    }

    /// Checks that every blob that a unit reads is available; unavailable blobs are made again.
    ///
    /// - Parameters:
    ///   - unit: The unit.
    ///   - revivals: How many units may be opened again for it; the result is `unsettled` when more are needed.
    ///   - effects: Receives the effects.
    /// - Returns: Whether the unit can be computed now.
    mutating func checkInputs(
        of unit: UnitReference, revivals: Int, _ effects: inout SchedulerEffects
    ) -> InputState {
        guard let inputs = read(unit.job, { $0.inputs(of: unit.unit) }) ?? nil else { return .unsettled }
        let missing = inputs.filter { !ledger.isAvailable($0.blob.digest) }
        guard !missing.isEmpty else { return .available }
        let lost = missing.filter { !ledger.mayReturn($0.blob.digest) }
        guard blobsSettleAt == nil, !lost.isEmpty, revivals > 0 else { return .unsettled }
        for input in lost.prefix(revivals) {
            revive(UnitReference(job: unit.job, unit: input.output.unit), &effects)
        }
        return .revived
    }

    /// How many units may be opened again for a worker's unit with lost inputs.
    ///
    /// Each home makes the inputs of only one unit again at a time. If all inputs were made again together, a store
    /// that cannot hold them all would evict the first ones before they are read, endlessly.
    func revivalsAllowed(for unit: UnitReference) -> Int {
        guard let job = jobs[unit.job] else { return 0 }
        // A unit that is itself made again needs its inputs.
        if job.revived[unit.unit] != nil { return .max }
        let home = queues.workers.home(of: entry(for: unit))
        let isBusy = jobs.contains { id, job in
            job.revived.keys.contains {
                let other = UnitReference(job: id, unit: $0)
                return queues.workers.home(of: entry(for: other)) == home && isBeingMade(other)
            }
        }
        return isBusy ? 0 : .max
    }

    /// Whether a unit that is made again is in progress, or will be when a worker has room.
    ///
    /// A unit that fits no worker must not delay others. A waiting unit depends on another unit that is not waiting.
    private func isBeingMade(_ unit: UnitReference) -> Bool {
        guard let job = jobs[unit.job] else { return false }
        let memory = job.plan.units[unit.unit.position].cost.memoryBytes
        return switch job.states[unit.unit.position] {
        case .leased: true
        case .ready: roster.workers.values.contains { $0.stays(withRoomFor: memory) }
        case .waiting, .resting, .finished: false
        }
    }

    /// Whether every blob that a unit reads is available.
    func hasInputs(_ unit: UnitReference) -> Bool {
        guard let inputs = read(unit.job, { $0.inputs(of: unit.unit) }) ?? nil else { return false }
        return inputs.allSatisfy { ledger.isAvailable($0.blob.digest) }
    }

    /// Opens a finished unit to be computed again from its inputs in the plan.
    private mutating func revive(_ unit: UnitReference, _ effects: inout SchedulerEffects) {
        guard let job = jobs[unit.job], let result = job.result(of: unit.unit) else { return }
        let failures = result.blobs.map { ledger.failedCollections[$0.digest] ?? 0 }.max() ?? 0
        guard failures < settings.inputLossesMax else {
            let message =
                "\(job.plan.units[unit.unit.position].title): gave up after its output was lost or damaged \(failures) "
                + "times before it reached the coordinator. Check the disks of the workers' caches."
            return end(unit.job, .failed(UnitFailure(kind: .inputMissing, message: message)), &effects)
        }
        effects.notices.append(.unitRevived(unit))
        reopen(unit)
    }

    private mutating func reopen(_ unit: UnitReference) {
        // The unit will read inputs again that nobody needed any more.
        rescueIsDue = true
        search.isSettled = false
        for dependent in jobs[unit.job]?.revive(unit.unit) ?? [] {
            let reference = UnitReference(job: unit.job, unit: dependent)
            dequeue(reference)
            queues.resting.remove(reference)
        }
        enqueue(unit)
    }

    /// Files of a running job are damaged.
    ///
    /// They are made again from their blobs, which may be lost too.
    mutating func loseFiles(of unit: UnitReference, _ reason: String, _ effects: inout SchedulerEffects) {
        guard let planned = file(of: unit), jobs[unit.job]?.isFinished(unit.unit) == true else { return }
        effects.notices.append(.filesLost(unit, reason: reason))
        guard countDamage(of: unit, planned, reason, &effects) else { return }
        if let job = jobs[unit.job] { jobs[unit.job]?.losePlaces(of: job.plan.blobs(readBy: planned)) }
        reopen(unit)
        // The written files cannot come back.
        jobs[unit.job]?.revived[unit.unit] = nil
    }

    /// Outputs that workers wrote into a staged file are damaged.
    ///
    /// Their blobs are collected, or made again, and written there.
    mutating func losePlaces(
        of unit: UnitReference, _ outputs: [UnitOutput], _ reason: String, _ effects: inout SchedulerEffects
    ) {
        guard let planned = file(of: unit), let job = jobs[unit.job] else { return }
        effects.notices.append(.placesLost(unit, count: outputs.count, reason: reason))
        guard countDamage(of: unit, planned, reason, &effects) else { return }
        let read = Set(job.plan.blobs(readBy: planned))
        jobs[unit.job]?.losePlaces(of: outputs.filter(read.contains))
        rescueIsDue = true
    }

    /// The unit of the coordinator that a name stands for; `nil` for other names.
    private func file(of unit: UnitReference) -> WorkUnit? {
        guard let job = jobs[unit.job], job.plan.units.indices.contains(unit.unit.position) else { return nil }
        let planned = job.plan.units[unit.unit.position]
        return planned.isForWorker ? nil : planned
    }

    /// Counts a damage of a unit's files; false when it was one too many, and the job has ended.
    private mutating func countDamage(
        of unit: UnitReference, _ planned: WorkUnit, _ reason: String, _ effects: inout SchedulerEffects
    ) -> Bool {
        let count = (jobs[unit.job]?.damages[unit.unit] ?? 0) + 1
        jobs[unit.job]?.damages[unit.unit] = count
        guard count >= settings.damagesMax else { return true }
        let message =
            "\(planned.title): gave up after its files were damaged \(count) times: \(reason) Check the disk of the "
            + "output directory."
        end(unit.job, .failed(UnitFailure(kind: .inputMissing, message: message)), &effects)
        return false
    }

    /// Restores revived units whose blobs came back.
    mutating func lookAtRevivedUnits() {
        for (id, job) in jobs {
            shared.settleLater(job.revived.keys.sorted().map { UnitReference(job: id, unit: $0) })
        }
    }
}
