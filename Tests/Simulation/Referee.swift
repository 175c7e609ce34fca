import Identifiers
import JobPlan
import OrderedCollections
import Scheduling
import UnitOperations

/// What must hold of the whole, watched from outside: the referee keeps its own books of what was said and recorded.
struct Referee {
    let settings: SchedulerSettings
    var violations: [String] = []
    var cancelled: Set<JobID> = []

    // What is durable.
    var accepted: [JobID: JobHeader] = [:]
    var outcomes: [JobID: JobOutcome] = [:]
    var finished: [UnitReference: UnitResult] = [:]
    /// Contents that have been computed for some job, and the regimes in which.
    var known: [UInt64: Set<NumericRegime>] = [:]
    var failures: [UnitReference: [(executor: UnitExecutorName, failure: UnitFailure)]] = [:]

    // What this life of the coordinator knows.
    /// Units in each worker's hands, with their memory and what they compute.
    var given: [WorkerID: OrderedDictionary<LeasedUnit, (memory: UInt64, content: UInt64)>] = [:]
    var capacities: [WorkerID: WorkerCapacity] = [:]
    /// Leases of units that take little time.
    private var brief: Set<LeasedUnit> = []
    private var draining: Set<WorkerID> = []
    /// Blobs that each worker said it has, and those in the coordinator's store.
    private var told: [WorkerID: Set<BlobDigest>] = [:]
    private var stored: Set<BlobDigest> = []
    /// Until when blobs may be offered again by workers that were lost.
    private var mayReturn: [BlobDigest: SchedulerInstant] = [:]
    private var settlesAt = SchedulerInstant(sinceStart: .zero)
    private var decided: [UnitReference: UnitResult] = [:]
    private var decidedOutcomes: Set<JobID> = []
    private var revived: Set<UnitReference> = []
    private var now = SchedulerInstant(sinceStart: .zero)
    /// When the event at hand came, and when the last one of each worker, in the world's time.
    private var time = 0
    private var lastHeard: [WorkerID: Int] = [:]
    /// The failure at hand, when it is one of an attempt that its worker does not have any more.
    private var supersededFailure: UnitReference?
    /// The failure at hand, when it is the world's own affair: a full disk is waited for, a lost input made again.
    private var excusedFailure: (unit: UnitReference, kind: UnitFailure.Kind)?

    /// The performed effects.
    var performance = Performance()

    // What workers have computed.
    var origins: [UInt64: Origin] = [:]
    /// The plan's name of each blob, and of each line of a report, that any regime has made.
    var planned: [BlobDigest: BlobDigest] = [:]
    /// What each key stands for.
    var contents: [UnitKey: UInt64] = [:]

    init(settings: SchedulerSettings) { self.settings = settings }

    // MARK: - The coordinator's lives

    mutating func noteCrash() {
        given = [:]
        capacities = [:]
        draining = []
        told = [:]
        stored = []
        mayReturn = [:]
        revived = []
        decided = finished
        decidedOutcomes = Set(outcomes.keys)
        performance = Performance(isLetGo: decidedOutcomes)
    }

    /// A recorded unit counts as finished, unless its file is gone with the staging directory.
    mutating func noteReplayed(_ unit: UnitReference, _ result: UnitResult, isLost: Bool) {
        finished[unit] = isLost ? nil : result
        decided = finished
    }

    /// What a coordinator takes up is what was durable.
    mutating func check(replayed scheduler: Scheduler, at time: Int) {
        note(scheduler.violatedInvariants(), "after a replay")
        for status in scheduler.jobStatuses {
            let count = finished.keys.count { $0.job == status.id }
            if status.finishedUnits != count {
                violations.append(
                    "after a replay \(status.finishedUnits) of \(count) units of \(status.id) are finished")
            }
            if status.outcome != outcomes[status.id] {
                violations.append("\(status.id) has another outcome after a replay")
            }
        }
        if Set(scheduler.jobStatuses.map(\.id)) != Set(accepted.keys) { violations.append("a replay has other jobs") }
        for (unit, result) in finished { checkRegime(of: unit, result, scheduler) }
        settlesAt = SchedulerInstant(sinceStart: .zero).advanced(by: settings.workerTimeout)
    }

    // MARK: - Events

    mutating func willHandle(_ event: SchedulerEvent, at instant: SchedulerInstant, _ time: Int) {
        now = instant
        self.time = time
        supersededFailure = nil
        excusedFailure = nil
        if case .unitFailed(let lease, _, let failure) = event, [.noSpace, .inputMissing].contains(failure.kind) {
            excusedFailure = (lease.unit, failure.kind)
        }
        noteSign(event)
        switch event {
        case .workerJoined(let worker, let capacity):
            if capacities[worker] == nil {
                capacities[worker] = capacity
                told[worker] = []
            }
        case .blobsHeld(let worker, let blobs): if told[worker] != nil { told[worker]?.formUnion(blobs.map(\.digest)) }
        case .blobsDropped(let worker, let blobs): told[worker]?.subtract(blobs)
        case .collectionFailed(let blob, let worker): told[worker]?.remove(blob)
        case .blobStored(let blob): stored.insert(blob.digest)
        case .blobUnreadable(let blob), .blobWanted(let blob): stored.remove(blob)
        case .restarted(let blobs): stored.formUnion(blobs.map(\.digest))
        case .unitFinished(let lease, .worker(let worker), let result, _):
            if told[worker] != nil {
                told[worker]?.formUnion(result.blobs.map(\.digest))
            } else {
                for blob in result.blobs { mayReturn[blob.digest] = now.advanced(by: settings.workerTimeout) }
            }
            given[worker]?[lease] = nil
            performance.sent[worker]?.remove(lease)
        case .unitFailed(let lease, .worker(let worker), _):
            if given[worker]?.removeValue(forKey: lease) == nil { supersededFailure = lease.unit }
            performance.sent[worker]?.remove(lease)
        case .workerDraining(let worker), .drainRequested(let worker):
            if capacities[worker] != nil { draining.insert(worker) }
        default: break
        }
    }

    private mutating func noteSign(_ event: SchedulerEvent) {
        switch event {
        case .workerJoined(let worker, _), .workerHeard(let worker), .workerProgressed(let worker, _),
            .workerDraining(let worker), .unitStarted(_, let worker), .blobsHeld(let worker, _),
            .unitFinished(_, .worker(let worker), _, _), .unitFailed(_, .worker(let worker), _):
            lastHeard[worker] = time
        default: break
        }
    }

    mutating func didHandle(
        _ event: SchedulerEvent, _ effects: SchedulerEffects, _ scheduler: Scheduler, _ jobs: [SimulatedJob],
        _ ids: [JobID]
    ) {
        note(scheduler.violatedInvariants(), "after \(event)")
        // What a result makes ready may be looked at and be found lost in the same breath, not the other way round.
        for record in effects.records {
            check(decided: record, jobs, ids)
            if case .unitFinished(let unit, _, _, _, _) = record, let result = decided[unit] {
                checkRegime(of: unit, result, scheduler)
            }
        }
        performance.removals += effects.inOrder.filter(\.isRemoval).map { _ in decidedOutcomes }
        // Before units are looked at whose blobs these may be.
        stored.subtract(effects.unneeded)
        effects.forgotten.forEach { forget($0) }
        for notice in effects.notices { check(notice, jobs, ids) }
        if effects.clearsStore { stored = [] }
        for order in effects.orders { check(order, scheduler, jobs, ids) }
        for lease in effects.coordinatorWork { checkDependencies(lease, jobs, ids) }
    }

    private mutating func note(_ sentences: [String], _ context: @autoclosure () -> String) {
        for sentence in sentences { violations.append("\(context()): \(sentence)") }
    }

    func isAvailable(_ blob: BlobDigest) -> Bool {
        stored.contains(blob) || told.values.contains { $0.contains(blob) }
    }

    private mutating func check(_ notice: SchedulerNotice, _ jobs: [SimulatedJob], _ ids: [JobID]) {
        if case .workerLost(let worker, _, _) = notice { checkSilence(of: worker) }
        switch notice {
        case .unitRevived(let unit):
            guard let result = decided[unit] else {
                return violations.append("\(unit) is revived and was not finished")
            }
            let blobs = result.blobs.map(\.digest)
            let missing = blobs.filter { !isAvailable($0) }
            if missing.isEmpty { violations.append("\(unit) is computed again, though its blobs are there") }
            let isHasty = missing.allSatisfy { now < mayReturn[$0] ?? now || now < settlesAt }
            if isHasty, !missing.isEmpty { violations.append("\(unit) is computed again before its blobs may be back") }
            revived.insert(unit)
        case .filesLost(let unit, _):
            if decided.removeValue(forKey: unit) == nil { violations.append("\(unit) had no files to lose") }
        case .unitRestored(let unit):
            if decided[unit]?.blobs.map(\.digest).allSatisfy(isAvailable) != true {
                violations.append("\(unit) is restored, though its blobs are not there")
            }
            revived.remove(unit)
        case .resultsDiffer(let lease, let executor):
            // No machine errs here, and regimes may differ.
            violations.append("\(executor) is said to err in \(lease.unit)")
        default: break
        }
    }

    private mutating func forget(_ worker: WorkerID) {
        if !draining.contains(worker) {
            for blob in told[worker] ?? [] { mayReturn[blob] = now.advanced(by: settings.workerTimeout) }
        }
        told[worker] = nil
        given[worker] = nil
        capacities[worker] = nil
        draining.remove(worker)
    }

    /// Who is given up was silent, and not only out of the coordinator's hearing while its clock leapt or it stood
    /// still.
    private mutating func checkSilence(of worker: WorkerID) {
        let silence = Duration.milliseconds(time - (lastHeard[worker] ?? 0))
        if silence < settings.workerTimeout - .seconds(1) {
            violations.append("\(worker) is given up, and was heard \(silence) ago")
        }
    }

    /// What a unit stands for in the plan.
    func content(_ unit: UnitReference, _ jobs: [SimulatedJob], _ ids: [JobID]) -> UInt64 {
        jobs[ids.firstIndex(of: unit.job) ?? 0].contents[unit.unit.position]
    }

    // MARK: - Facts

    private mutating func check(decided record: JournalRecord, _ jobs: [SimulatedJob], _ ids: [JobID]) {
        switch record {
        case .jobAccepted: break
        case .unitFinished(let unit, let executor, let result, _, let key):
            if decidedOutcomes.contains(unit.job) { violations.append("\(unit) is finished behind its job's end") }
            let isFirst = decided.updateValue(result, forKey: unit) == nil
            if !isFirst, revived.remove(unit) == nil { violations.append("\(unit) is finished twice") }
            check(result, of: unit, executor, key, jobs, ids)
        case .unitFailed(let unit, _, _):
            if decidedOutcomes.contains(unit.job) { violations.append("\(unit) fails behind its job's end") }
            if decided[unit] != nil, !revived.contains(unit) { violations.append("\(unit) fails and was finished") }
            if unit == supersededFailure { violations.append("a superseded attempt of \(unit) counts as failed") }
            if let excusedFailure, excusedFailure.unit == unit {
                violations.append("\(excusedFailure.kind) of \(unit) counts as a failure")
            }
        case .jobEnded(let job, let outcome, _):
            // Room comes back, and what is missing is made again.
            if case .failed(let failure) = outcome, [.noSpace, .inputMissing].contains(failure.kind) {
                violations.append("\(job) has failed by \(failure.kind)")
            }
            if !decidedOutcomes.insert(job).inserted { violations.append("\(job) ends twice") }
        }
    }

    mutating func didCommit(_ record: JournalRecord, _ jobs: [SimulatedJob], _ ids: [JobID]) {
        switch record {
        case .jobAccepted(let header):
            if accepted.updateValue(header, forKey: header.id) != nil {
                violations.append("\(header.id) is accepted twice")
            }
        case .unitFinished(let unit, _, let result, _, let key):
            finished[unit] = result
            if key != nil, let origin = origins[result.fingerprint] {
                known[origin.content, default: []].insert(origin.regime)
            }
        case .unitFailed(let unit, let executor, let failure): failures[unit, default: []].append((executor, failure))
        case .jobEnded(let job, let outcome, _): outcomes[job] = outcome
        }
    }

    // MARK: - Orders

    private mutating func check(
        _ addressed: AddressedOrder, _ scheduler: Scheduler, _ jobs: [SimulatedJob], _ ids: [JobID]
    ) {
        let worker = addressed.worker
        switch addressed.order {
        case .lease(let lease):
            guard let capacity = capacities[worker] else {
                return violations.append("\(lease.unit) is leased to \(worker), who is not there")
            }
            if draining.contains(worker) { violations.append("\(lease.unit) is leased to \(worker), who leaves") }
            let job = jobs[ids.firstIndex(of: lease.unit.job) ?? 0]
            let unit = job.plan.units[lease.unit.unit.position]
            let inputs = SimulatedJob.inputs(of: unit, in: job.plan) {
                decided[UnitReference(job: lease.unit.job, unit: $0)]
            }
            let content = job.content(of: unit.index, from: inputs)
            checkNews(lease.unit, content)
            given[worker, default: [:]][lease] = (unit.cost.memoryBytes, content)
            let units = given[worker] ?? [:]
            let areBrief = units.keys.dropLast().allSatisfy { brief.contains($0) }
            let queued = areBrief ? settings.queuedBriefUnitsPerWorker : 0
            if unit.cost.isBrief { brief.insert(lease) }
            if units.count > capacity.lanes + max(queued, settings.queuedUnitsPerWorker) {
                violations.append("\(worker) with \(capacity.lanes) lanes has \(units.count) units")
            }
            if units.values.reduce(0, { $0 + $1.memory }) > capacity.memoryBytes {
                violations.append("\(worker) has too little memory")
            }
            checkDependencies(lease, jobs, ids)
        case .revoke(let lease): given[worker]?[lease] = nil
        case .collect(let blob):
            if told[worker]?.contains(blob) != true { violations.append("\(blob) is collected from \(worker)") }
        case .discard, .drain: break
        case .dismiss:
            if !draining.contains(worker) { violations.append("\(worker) is dismissed and does not leave") }
            if given[worker]?.isEmpty == false { violations.append("\(worker) is dismissed and computes") }
            checkRescue(from: worker, scheduler, jobs, ids)
        }
    }

    /// A leaving worker's blobs that are still read lie elsewhere before it is let go.
    private mutating func checkRescue(
        from worker: WorkerID, _ scheduler: Scheduler, _ jobs: [SimulatedJob], _ ids: [JobID]
    ) {
        for (position, id) in ids.enumerated() where scheduler.status(of: id)?.outcome == nil {
            guard scheduler.status(of: id) != nil else { continue }
            for unit in jobs[position].plan.units
            where scheduler.result(of: UnitReference(job: id, unit: unit.index)) == nil {
                for output in jobs[position].plan.blobs(readBy: unit) {
                    let made = UnitReference(job: id, unit: output.unit)
                    guard let result = scheduler.result(of: made), let blob = result.blob(at: output.position)?.digest,
                        unit.isForWorker || !result.hasPlaced(output.position),
                        told[worker]?.contains(blob) == true, !stored.contains(blob),
                        !told.contains(where: { $0.key != worker && $0.value.contains(blob) })
                    else { continue }
                    violations.append("\(worker) is dismissed with the only copy of a blob of \(made)")
                }
            }
        }
    }

    /// What is known is not computed again, and nothing is computed for two jobs at once.
    private mutating func checkNews(_ unit: UnitReference, _ content: UInt64) {
        if decidedOutcomes.contains(unit.job) { violations.append("\(unit) is leased and its job has ended") }
        if revived.contains(unit) {
            if decided[unit]?.blobs.map(\.digest).allSatisfy(isAvailable) == true {
                violations.append("\(unit) is leased, though its blobs have come back")
            }
        } else {
            if decided[unit] != nil { violations.append("\(unit) is leased and was finished") }
            let regimes = known[content] ?? []
            if capacities.values.contains(where: { regimes.contains($0.regime) }) {
                violations.append("\(unit) is leased, though its result is known")
            }
        }
        for (worker, units) in given {
            for (other, computed) in units where other.unit != unit && computed.content == content {
                violations.append("\(unit) is leased while \(worker) computes the same for \(other.unit)")
            }
        }
    }

    private mutating func checkDependencies(_ lease: LeasedUnit, _ jobs: [SimulatedJob], _ ids: [JobID]) {
        let unit = jobs[ids.firstIndex(of: lease.unit.job) ?? 0].plan.units[lease.unit.unit.position]
        for dependency in unit.dependencies
        where decided[UnitReference(job: lease.unit.job, unit: dependency)] == nil {
            violations.append("\(lease.unit) is leased before \(dependency) is finished")
        }
    }
}
