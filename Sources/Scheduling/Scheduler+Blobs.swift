import Identifiers
import JobPlan
import OrderedCollections

/// Blobs: who has them, which cross to the coordinator, and which have to be made again.
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
            // Whoever was asked would have sent it, had it lain in the store.
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

    /// The blobs that a job's files are made of, as far as they are made, without those whose files are written.
    func neededFiles(of job: JobProgress) -> [BlobDigest] {
        job.plan.units.flatMap { unit -> [BlobDigest] in
            guard !unit.isForWorker, !job.isFinished(unit.index) else { return [] }
            return job.plan.blobs(readBy: unit).compactMap { output in
                guard let blobs = job.result(of: output.unit)?.blobs, blobs.indices.contains(output.position) else {
                    return nil
                }
                return blobs[output.position].digest
            }
        }
    }

    /// Orders from workers what the coordinator wants, within each worker's bound.
    mutating func collectBlobs(_ now: SchedulerInstant, _ effects: inout SchedulerEffects) {
        guard !ledger.wanted.isEmpty else { return }
        for blob in ledger.awaited
        where ledger.holders[blob] == nil && ledger.collections[blob] == nil
            && ledger.paused[blob] == nil
        {
            // Whoever waits for it gives its unit back; the unit's inputs are looked at before it is leased again.
            ledger.forget(blob)
            effects.unavailable.append(blob)
        }
        var underWay: [WorkerID: Int] = [:]
        for collection in ledger.collections.values { underWay[collection.worker, default: 0] += 1 }
        // First what a lane waits for; files can wait.
        for blob in ledger.awaited { order(blob, &underWay, now, &effects) }
        let most = settings.collectionsPerWorker * roster.workers.count
        for blob in ledger.wanted {
            guard ledger.collections.count < most else { return }
            order(blob, &underWay, now, &effects)
        }
    }

    /// Orders a blob from the least busy of those that have it, the first of equals.
    private mutating func order(
        _ blob: BlobDigest, _ underWay: inout [WorkerID: Int], _ now: SchedulerInstant,
        _ effects: inout SchedulerEffects
    ) {
        guard ledger.collections[blob] == nil, ledger.paused[blob] == nil,
            let worker = ledger.holders[blob]?.min(by: { underWay[$0, default: 0] < underWay[$1, default: 0] }),
            underWay[worker, default: 0] < settings.collectionsPerWorker
        else { return }
        underWay[worker, default: 0] += 1
        ledger.begin(blob, from: worker, at: now)
        effects.order(.collect(blob), to: worker)
    }

    /// Whether a unit's inputs can be had now.
    enum InputState {
        /// All of them.
        case available
        /// One is missing, and may still be offered.
        case unsettled
        /// One was missing: the unit waits for it to be made again.
        case revived
    }

    /// Looks whether somebody has every blob that a unit reads; what nobody has is made again.
    ///
    /// - Parameters:
    ///   - unit: The unit.
    ///   - revivals: How many units may be opened again for it; `unsettled` is the answer when it is none.
    ///   - effects: What is to be done.
    /// - Returns: Whether it can be computed now.
    mutating func checkInputs(
        of unit: UnitReference, revivals: Int, _ effects: inout SchedulerEffects
    ) -> InputState {
        guard let job = jobs[unit.job], let inputs = job.inputs(of: unit.unit) else { return .unsettled }
        let missing = inputs.filter { !ledger.isAvailable($0.blob.digest) }
        guard !missing.isEmpty else { return .available }
        let lost = missing.filter { !ledger.mayReturn($0.blob.digest) }
        guard blobsSettleAt == nil, !lost.isEmpty, revivals > 0 else { return .unsettled }
        for input in lost.prefix(revivals) {
            revive(UnitReference(job: unit.job, unit: input.output.unit), &effects)
        }
        return .revived
    }

    /// How many units may be opened again for a worker's unit whose inputs are lost.
    ///
    /// At each home those for one unit at a time: were the inputs of all its units made again together, a store that
    /// does not hold them all would evict the first before they are read, for ever.
    func revivalsAllowed(for unit: UnitReference) -> Int {
        guard let job = jobs[unit.job] else { return 0 }
        // Who is made again itself needs its own inputs.
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

    /// Whether a unit that is made again is under way, or will be as soon as a worker has room.
    ///
    /// One that fits nobody must not hold up others. Behind one that waits stands another, which does not.
    private func isBeingMade(_ unit: UnitReference) -> Bool {
        guard let job = jobs[unit.job] else { return false }
        let memory = job.plan.units[unit.unit.position].cost.memoryBytes
        return switch job.states[unit.unit.position] {
        case .leased: true
        case .ready: roster.workers.values.contains { !$0.isDraining && memory <= $0.capacity.memoryBytes }
        case .waiting, .resting, .finished: false
        }
    }

    /// Whether somebody has every blob that a unit reads.
    func hasInputs(_ unit: UnitReference) -> Bool {
        guard let inputs = jobs[unit.job]?.inputs(of: unit.unit) else { return false }
        return inputs.allSatisfy { ledger.isAvailable($0.blob.digest) }
    }

    /// Lets a finished unit be computed again: its lineage is the plan.
    private mutating func revive(_ unit: UnitReference, _ effects: inout SchedulerEffects) {
        guard let job = jobs[unit.job], let result = job.result(of: unit.unit) else { return }
        let failures = result.blobs.map { ledger.failedCollections[$0.digest] ?? 0 }.max() ?? 0
        guard failures < settings.inputLossesMax else {
            let message =
                "\(job.plan.units[unit.unit.position].title): gave up after what it makes was lost or damaged \(failures) "
                + "times before it came from its worker. Check the disks of the workers' caches."
            return end(unit.job, .failed(UnitFailure(kind: .inputMissing, message: message)), &effects)
        }
        effects.notices.append(.unitRevived(unit))
        reopen(unit)
    }

    private mutating func reopen(_ unit: UnitReference) {
        // It reads again what nobody did.
        rescueIsDue = true
        for dependent in jobs[unit.job]?.revive(unit.unit) ?? [] {
            let reference = UnitReference(job: unit.job, unit: dependent)
            dequeue(reference)
            queues.resting.remove(reference)
        }
        enqueue(unit)
    }

    /// Files of a job that runs are not what was written: they are made again, from blobs that may be lost too.
    mutating func loseFiles(of unit: UnitReference, _ reason: String, _ effects: inout SchedulerEffects) {
        guard let job = jobs[unit.job], job.plan.units.indices.contains(unit.unit.position),
            !job.plan.units[unit.unit.position].isForWorker, job.isFinished(unit.unit)
        else { return }
        let count = (job.damages[unit.unit] ?? 0) + 1
        jobs[unit.job]?.damages[unit.unit] = count
        effects.notices.append(.filesLost(unit, reason: reason))
        guard count < settings.damagesMax else {
            let message =
                "\(job.plan.units[unit.unit.position].title): gave up after its files were damaged \(count) times: "
                + "\(reason) Check the disk of the output directory."
            end(unit.job, .failed(UnitFailure(kind: .inputMissing, message: message)), &effects)
            return
        }
        reopen(unit)
        // Nobody can bring back what was written.
        jobs[unit.job]?.revived[unit.unit] = nil
    }

    /// Blobs came back, maybe those that units are to make again.
    mutating func lookAtRevivedUnits() {
        for (id, job) in jobs {
            shared.settleLater(job.revived.keys.sorted().map { UnitReference(job: id, unit: $0) })
        }
    }
}
