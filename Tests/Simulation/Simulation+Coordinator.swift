import Identifiers
import JobPlan
import OrderedCollections
import Scheduling
import UnitOperations

/// The coordinator's service: events in, facts to the disk, effects out.
extension Simulation {
    // MARK: - Life and death

    mutating func startCoordinator() {
        guard !coordinator.isUp, !coordinator.isStarting else { return }
        coordinator.isStarting = true
        coordinator.startedAt = time
        coordinator.leap = 0
        coordinator.stalledUntil = 0
    }

    /// Folds the journal's facts into a fresh scheduler.
    mutating func takeUp(_ records: [JournalRecord]) {
        var fresh = Scheduler(settings: coordinator.settings)
        for record in records {
            switch record {
            case .jobAccepted(let header): fresh.apply(record, plan: jobs[position(of: header.id)].plan)
            case .unitFinished(let unit, _, let result, _, _):
                referee.noteReplayed(unit, result, isLost: isFileLost(unit))
                if !isFileLost(unit) { fresh.apply(record) }
            default: fresh.apply(record)
            }
        }
        coordinator.scheduler = fresh
        coordinator.isStarting = false
        coordinator.isUp = true
        let running = fresh.jobStatuses.filter { $0.outcome == nil }.map(\.id)
        if running.isEmpty { coordinator.store = [:] }
        for job in coordinator.staging.keys.sorted() where !running.contains(job) { coordinator.staging[job] = nil }
        referee.check(replayed: fresh, at: time)
        log.note(time, "coordinator life \(coordinator.life) with \(records.count) records")
        let stored = coordinator.store.map { BlobReference(digest: $0.key, byteCount: $0.value.byteCount) }
        happen(.restarted(stored: stored))
    }

    /// Whether a file that was written is gone, with a staging directory that somebody removed.
    private func isFileLost(_ unit: UnitReference) -> Bool {
        let job = jobs[position(of: unit.job)]
        guard referee.outcomes[unit.job] == nil, let path = SimulatedJob.path(of: job.plan.units[unit.unit.position])
        else { return false }
        return coordinator.staging[unit.job]?[path] == nil
    }

    mutating func crashCoordinator() {
        guard coordinator.isUp else { return }
        log.note(time, "coordinator dies")
        let old = coordinator
        coordinator = SimulatedCoordinator(settings: old.settings)
        coordinator.life = old.life + 1
        (coordinator.diskFullUntil, coordinator.storeFullUntil) = (old.diskFullUntil, old.storeFullUntil)
        (coordinator.store, coordinator.staging, coordinator.published) = (old.store, old.staging, old.published)
        coordinator.damagedFiles = old.damagedFiles
        coordinator.places = old.places
        // A loss of power takes what was not durable.
        if chance(30) { losePlaces() }
        crashPoint = nil
        referee.noteCrash()
        actions.schedule(.startCoordinator, at: time + roll(100...6000))
    }

    /// Loses some of what stands in staged files.
    mutating func losePlaces() {
        for job in coordinator.places.keys.sorted() {
            for output in (coordinator.places[job] ?? [:]).keys.sorted(by: Self.precedes) where chance(50) {
                coordinator.places[job]?[output] = nil
            }
        }
    }

    private static func precedes(_ left: UnitOutput, _ right: UnitOutput) -> Bool {
        (left.unit, left.position) < (right.unit, right.position)
    }

    // MARK: - Events in

    mutating func happen(_ event: SchedulerEvent) {
        coordinator.pending.append((event, time))
        scheduleTurn(after: 0)
    }

    private mutating func scheduleTurn(after delay: Int) {
        guard coordinator.isUp, !coordinator.isTurnScheduled, !coordinator.isCommitting else { return }
        coordinator.isTurnScheduled = true
        actions.schedule(.turn(life: coordinator.life), at: max(time + delay, coordinator.stalledUntil))
    }

    /// Takes in all that has come.
    mutating func turn() {
        coordinator.isTurnScheduled = false
        guard coordinator.stalledUntil <= time else { return scheduleTurn(after: 0) }
        let events = coordinator.pending
        coordinator.pending = []
        let now = coordinator.now(at: time)
        for (event, arrival) in events {
            referee.willHandle(event, at: now, arrival)
            let effects = coordinator.scheduler.handle(event, at: now)
            log.note(time, "\(Self.line(of: event)) -> \(Self.line(of: effects))")
            referee.didHandle(event, effects, coordinator.scheduler, jobs, jobIDs)
            for record in effects.records { checkPatience(record) }
            coordinator.batch.append(effects)
        }
        coordinator.deadline = coordinator.batch.deadline
        scheduleTick()
        if !coordinator.batch.records.isEmpty {
            coordinator.isCommitting = true
            let duration = mishap(faults.slowDisk) ? roll(500...15_000) : roll(1...20)
            actions.schedule(.commit(life: coordinator.life), at: time + duration)
        } else {
            performBatch()
        }
    }

    /// A worker that waits for a blob that the coordinator has still to collect has done nothing wrong.
    private mutating func checkPatience(_ record: JournalRecord) {
        guard case .unitFailed(let unit, .worker(let id), let failure) = record, failure.kind == .workerLost,
            let position = positions[id], coordinator.connected[id] != nil,
            coordinator.scheduler.workerStatuses.contains(where: { $0.id == id })
        else { return }
        for computation in workers[position].computing where computation.lease.lease.unit == unit {
            for blob in computation.missing.keys where coordinator.waiting[blob]?.contains(id) == true {
                referee.violations.append("\(id) waits for \(blob), and \(unit) counts as failed")
            }
        }
    }

    private static func line(of event: SchedulerEvent) -> String {
        if case .jobSubmitted(let header, _) = event { "\(header.id) is submitted" } else { "\(event)" }
    }

    private static func line(of effects: SchedulerEffects) -> String {
        let parts = effects.records.map { "\($0)" } + effects.inOrder.map { "\($0)" }
        return "[\(parts.joined(separator: ", "))] until \(effects.deadline?.sinceStart ?? .zero)"
    }

    private mutating func scheduleTick() {
        guard let deadline = coordinator.deadline else { return }
        let start = coordinator.startedAt - coordinator.leap
        let milliseconds = Int(deadline.sinceStart / .milliseconds(1))
        let instant = max(time, start + milliseconds) + roll(0...200)
        if let tick = coordinator.deadlineTick, tick <= instant { return }
        coordinator.deadlineTick = instant
        actions.schedule(.deadline(life: coordinator.life), at: instant)
    }

    mutating func tick() {
        guard coordinator.deadlineTick ?? time <= time else { return }
        coordinator.deadlineTick = nil
        guard coordinator.isUp, let deadline = coordinator.deadline else { return }
        guard deadline <= coordinator.now(at: time) else { return scheduleTick() }
        // Not twice for the same instant: the answer names the next one.
        coordinator.deadline = nil
        happen(.deadlineReached)
    }

    /// The facts of a turn reach the disk, unless it is full: then they wait, and what was decided with them.
    mutating func commit() {
        guard coordinator.diskFullUntil <= time else {
            log.note(time, "the journal's disk is full")
            return actions.schedule(.commit(life: coordinator.life), at: time + 700)
        }
        if crashPoint == .beforeCommit { return crashCoordinator() }
        let records = coordinator.batch.records
        do {
            try journal.append(records)
        } catch {
            referee.violations.append("facts cannot be encoded: \(error)")
        }
        for record in records { referee.didCommit(record, jobs, jobIDs) }
        if crashPoint == .afterCommit { return crashCoordinator() }
        performBatch()
    }

    // MARK: - Effects out

    private mutating func performBatch() {
        let batch = coordinator.batch
        coordinator.batch = EffectBatch()
        coordinator.isCommitting = false
        for effect in batch.inOrder {
            if crashPoint == .between, chance(50) { return crashCoordinator() }
            log.note(time, "does \(effect)")
            referee.willPerform(effect, jobs, jobIDs)
            perform(effect)
        }
        if !coordinator.pending.isEmpty { scheduleTurn(after: 0) }
    }

    private mutating func perform(_ effect: SchedulerEffect) {
        switch effect {
        // The referee reads notices when they are decided, and keeps its own record of settled jobs.
        case .tell, .settle, .accept: break
        case .forget(let worker):
            // The worker may have come back since the decision.
            let isJoining = coordinator.pending.contains {
                if case .workerJoined(worker, _) = $0.event { true } else { false }
            }
            guard !isJoining, !coordinator.scheduler.workerStatuses.contains(where: { $0.id == worker }) else { return }
            coordinator.connected[worker] = nil
        case .send(let addressed): carryOut(addressed.order, addressed.worker)
        case .compute(let lease): beginOwnWork(lease)
        case .tellUnavailable(let blob):
            for worker in coordinator.waiting.removeValue(forKey: blob) ?? [] { send(.unavailable(blob), to: worker) }
        case .letGo(let job):
            if coordinator.scheduler.status(of: job)?.outcome != .succeeded { coordinator.staging[job] = nil }
            coordinator.places[job] = nil
        case .remove(let blobs): for blob in blobs { coordinator.store[blob] = nil }
        case .clearStore: coordinator.store = [:]
        }
    }

    private mutating func carryOut(_ order: WorkerOrder<LeasedUnit>, _ worker: WorkerID) {
        switch order {
        case .lease(let leased):
            // If the job has ended meanwhile, nothing is sent; the order that revokes the unit follows.
            guard coordinator.scheduler.plan(of: leased.unit.job) != nil, coordinator.connected[worker] != nil else {
                return
            }
            let position = position(of: leased.unit.job)
            let scheduler = coordinator.scheduler
            let plan = jobs[position].plan
            let unit = plan.units[leased.unit.unit.position]
            let inputs = SimulatedJob.inputs(of: unit, in: plan) {
                scheduler.result(of: UnitReference(job: leased.unit.job, unit: $0))
            }
            guard inputs.blobs.count == unit.inputs.count, inputs.numbers.count == unit.inputNumbers.count else {
                // An input was lost in the same breath.
                let failure = UnitFailure(kind: .inputMissing, message: "an input is missing")
                return happen(.unitFailed(leased, by: .worker(worker), failure))
            }
            send(.lease(SimulatedWorker.Lease(lease: leased, job: position, inputs: inputs)), to: worker)
        case .revoke(let leased): tell(worker, .revoke(leased))
        case .collect(let blob): tell(worker, .collect(blob))
        case .discard(let blobs): for blob in blobs { tell(worker, .discard(blob)) }
        case .drain: tell(worker, .drain)
        case .dismiss: tell(worker, .dismiss)
        }
    }

    private mutating func tell(_ worker: WorkerID, _ message: DownwardMessage) {
        if coordinator.connected[worker] != nil { send(message, to: worker) }
    }

    // MARK: - Own lanes

    private mutating func beginOwnWork(_ lease: LeasedUnit) {
        let plan = jobs[position(of: lease.unit.job)].plan
        if case .coordinator(.writeReport) = plan.units[lease.unit.unit.position].work {
            coordinator.reports[lease] = plan.units.map {
                coordinator.scheduler.result(of: UnitReference(job: lease.unit.job, unit: $0.index)) ?? UnitResult()
            }
        }
        actions.schedule(.ownWork(lease, life: coordinator.life), at: time + roll(50...1500))
    }

    mutating func finishOwnWork(_ lease: LeasedUnit) {
        let job = jobs[position(of: lease.unit.job)]
        let unit = job.plan.units[lease.unit.unit.position]
        func failed(_ kind: UnitFailure.Kind, _ message: String) -> SchedulerEvent {
            .unitFailed(lease, by: .coordinator, UnitFailure(kind: kind, message: message))
        }
        let results = coordinator.reports.removeValue(forKey: lease) ?? []
        guard coordinator.scheduler.status(of: lease.unit.job)?.outcome == nil else {
            return happen(failed(.world, "its job has ended"))
        }
        guard coordinator.hasRoom(at: time) else { return happen(failed(.noSpace, "the disk is full")) }
        if unsound.contains(job.contents[unit.index.position]) { return happen(failed(.badInput, Self.badInput)) }
        if poison.contains(job.contents[unit.index.position]) { return happen(failed(.world, Self.poison)) }
        var read: [BlobDigest] = []
        var damaged: [UnitOutput] = []
        for output in job.plan.blobs(readBy: unit) {
            let result = coordinator.scheduler.result(of: UnitReference(job: lease.unit.job, unit: output.unit))
            guard let result, let blob = result.blob(at: output.position)?.digest else {
                return happen(failed(.inputMissing, "an input is made again"))
            }
            if result.hasPlaced(output.position) {
                if coordinator.places[lease.unit.job]?[output] != blob { damaged.append(output) }
                read.append(blob)
                continue
            }
            guard coordinator.store[blob]?.isDamaged == false else {
                coordinator.store[blob] = nil
                happen(.blobUnreadable(blob))
                return happen(failed(.inputMissing, "\(blob) cannot be read"))
            }
            read.append(blob)
        }
        guard damaged.isEmpty else {
            happen(.placesLost(lease.unit, damaged, reason: "they differ from their digests"))
            return happen(failed(.inputMissing, "outputs in place are damaged"))
        }
        if case .coordinator(.publish) = unit.work, reportDamagedFiles(of: lease.unit.job, job) {
            return happen(failed(.inputMissing, "staged files are damaged"))
        }
        write(unit, of: lease.unit.job, job, read, results)
        let timing = UnitTiming(elapsedSeconds: 1, kernelSeconds: 0)
        happen(.unitFinished(lease, by: .coordinator, UnitResult(), timing))
    }

    /// Before files are published they are read once more.
    ///
    /// - Returns: Whether some were not as they were written.
    private mutating func reportDamagedFiles(of id: JobID, _ job: SimulatedJob) -> Bool {
        let damaged = coordinator.damagedFiles.removeValue(forKey: id) ?? []
        var isDamaged = false
        for unit in job.plan.units {
            guard let path = SimulatedJob.path(of: unit), damaged.contains(path),
                coordinator.staging[id]?.removeValue(forKey: path) != nil
            else { continue }
            isDamaged = true
            for output in job.plan.blobs(readBy: unit) { coordinator.places[id]?[output] = nil }
            happen(.filesLost(UnitReference(job: id, unit: unit.index), reason: "\(path) is damaged"))
        }
        return isDamaged
    }

    private mutating func write(
        _ unit: WorkUnit, of id: JobID, _ job: SimulatedJob, _ read: [BlobDigest], _ results: [UnitResult]
    ) {
        if let path = SimulatedJob.path(of: unit) {
            coordinator.damagedFiles[id]?.remove(path)
            coordinator.staging[id, default: [:]][path] = SimulatedJob.fileContent(
                of: unit, read: read, job.plan, results)
        } else if case .coordinator(.publish) = unit.work, let staged = coordinator.staging.removeValue(forKey: id) {
            coordinator.published[id] = staged
        }
    }

    static let poison = "poison"
    static let badInput = "a.safetensors: row 3 holds NaN"
}
