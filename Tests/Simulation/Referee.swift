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
    var finished: Set<UnitReference> = []
    /// Contents that have been computed for some job.
    var known: Set<UInt64> = []
    var failures: [UnitReference: [(executor: UnitExecutorName, failure: UnitFailure)]] = [:]

    // What this life of the coordinator knows.
    /// Units in each worker's hands.
    private var given: [WorkerID: OrderedDictionary<LeasedUnit, UInt64>] = [:]
    private var capacities: [WorkerID: WorkerCapacity] = [:]
    private var draining: Set<WorkerID> = []
    /// Blobs that each worker said it has, and those in the coordinator's store.
    private var told: [WorkerID: Set<BlobDigest>] = [:]
    private var stored: Set<BlobDigest> = []
    /// Until when blobs may be offered again by workers that were lost.
    private var mayReturn: [BlobDigest: SchedulerInstant] = [:]
    private var settlesAt = SchedulerInstant(sinceStart: .zero)
    private var decided: Set<UnitReference> = []
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
    private var performance = Performance()

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
    mutating func noteFile(_ unit: UnitReference, isLost: Bool) {
        if isLost { finished.remove(unit) } else { finished.insert(unit) }
        decided = finished
    }

    /// What a coordinator takes up is what was durable.
    mutating func check(replayed scheduler: Scheduler, _ records: [JournalRecord], at time: Int) {
        note(scheduler.violatedInvariants(), "after a replay")
        for status in scheduler.jobStatuses {
            let count = finished.count { $0.job == status.id }
            if status.finishedUnits != count {
                violations.append(
                    "after a replay \(status.finishedUnits) of \(count) units of \(status.id) are finished")
            }
            if status.outcome != outcomes[status.id] {
                violations.append("\(status.id) has another outcome after a replay")
            }
        }
        if Set(scheduler.jobStatuses.map(\.id)) != Set(accepted.keys) { violations.append("a replay has other jobs") }
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
        for record in effects.records { check(decided: record, jobs, ids) }
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
            guard decided.contains(unit) else { return violations.append("\(unit) is revived and was not finished") }
            let blobs = result(unit, jobs, ids).blobs.map(\.digest)
            let missing = blobs.filter { !isAvailable($0) }
            if missing.isEmpty { violations.append("\(unit) is computed again, though its blobs are there") }
            let isHasty = missing.allSatisfy { now < mayReturn[$0] ?? now || now < settlesAt }
            if isHasty, !missing.isEmpty { violations.append("\(unit) is computed again before its blobs may be back") }
            revived.insert(unit)
        case .filesLost(let unit, _):
            if decided.remove(unit) == nil { violations.append("\(unit) had no files to lose") }
        case .unitRestored(let unit):
            if !result(unit, jobs, ids).blobs.map(\.digest).allSatisfy(isAvailable) {
                violations.append("\(unit) is restored, though its blobs are not there")
            }
            revived.remove(unit)
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

    func result(_ unit: UnitReference, _ jobs: [SimulatedJob], _ ids: [JobID]) -> UnitResult {
        jobs[ids.firstIndex(of: unit.job) ?? 0].results[unit.unit.position]
    }

    func content(_ unit: UnitReference, _ jobs: [SimulatedJob], _ ids: [JobID]) -> UInt64 {
        jobs[ids.firstIndex(of: unit.job) ?? 0].contents[unit.unit.position]
    }

    // MARK: - Facts

    private mutating func check(decided record: JournalRecord, _ jobs: [SimulatedJob], _ ids: [JobID]) {
        switch record {
        case .jobAccepted: break
        case .unitFinished(let unit, let executor, let result, _, _):
            if decidedOutcomes.contains(unit.job) { violations.append("\(unit) is finished behind its job's end") }
            let isFirst = decided.insert(unit).inserted
            if !isFirst, revived.remove(unit) == nil { violations.append("\(unit) is finished twice") }
            if !result.agrees(with: self.result(unit, jobs, ids)) {
                let title = jobs[ids.firstIndex(of: unit.job) ?? 0].plan.units[unit.unit.position].title
                violations.append("\(unit) (\(title)) of \(executor) has another result than the plan says")
            }
        case .unitFailed(let unit, _, _):
            if decidedOutcomes.contains(unit.job) { violations.append("\(unit) fails behind its job's end") }
            if decided.contains(unit), !revived.contains(unit) { violations.append("\(unit) fails and was finished") }
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
        case .unitFinished(let unit, _, _, _, let key):
            finished.insert(unit)
            if key != nil { known.insert(content(unit, jobs, ids)) }
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
            checkNews(lease.unit, jobs, ids)
            let plan = jobs[ids.firstIndex(of: lease.unit.job) ?? 0].plan
            given[worker, default: [:]][lease] = plan.units[lease.unit.unit.position].cost.memoryBytes
            let units = given[worker] ?? [:]
            if units.count > capacity.lanes + settings.queuedUnitsPerWorker {
                violations.append("\(worker) with \(capacity.lanes) lanes has \(units.count) units")
            }
            if units.values.reduce(0, +) > capacity.memoryBytes { violations.append("\(worker) has too little memory") }
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
                    guard let blob = scheduler.result(of: made)?.blobs[output.position].digest,
                        told[worker]?.contains(blob) == true, !stored.contains(blob),
                        !told.contains(where: { $0.key != worker && $0.value.contains(blob) })
                    else { continue }
                    violations.append("\(worker) is dismissed with the only copy of a blob of \(made)")
                }
            }
        }
    }

    /// What is known is not computed again, and nothing is computed for two jobs at once.
    private mutating func checkNews(_ unit: UnitReference, _ jobs: [SimulatedJob], _ ids: [JobID]) {
        if decidedOutcomes.contains(unit.job) { violations.append("\(unit) is leased and its job has ended") }
        let content = content(unit, jobs, ids)
        if revived.contains(unit) {
            if result(unit, jobs, ids).blobs.map(\.digest).allSatisfy(isAvailable) {
                violations.append("\(unit) is leased, though its blobs have come back")
            }
        } else {
            if decided.contains(unit) { violations.append("\(unit) is leased and was finished") }
            if known.contains(content) { violations.append("\(unit) is leased, though its result is known") }
        }
        for (worker, units) in given {
            for other in units.keys where other.unit != unit && self.content(other.unit, jobs, ids) == content {
                violations.append("\(unit) is leased while \(worker) computes the same for \(other.unit)")
            }
        }
    }

    private mutating func checkDependencies(_ lease: LeasedUnit, _ jobs: [SimulatedJob], _ ids: [JobID]) {
        let unit = jobs[ids.firstIndex(of: lease.unit.job) ?? 0].plan.units[lease.unit.unit.position]
        for dependency in unit.dependencies
        where !decided.contains(UnitReference(job: lease.unit.job, unit: dependency)) {
            violations.append("\(lease.unit) is leased before \(dependency) is finished")
        }
    }
}

// MARK: - Performed effects

extension Referee {
    /// The effects that this process of the coordinator has performed.
    struct Performance {
        /// Jobs that were released.
        var isLetGo: Set<JobID> = []
        /// Workers whose conversation ended and that have not come back.
        var forgotten: Set<WorkerID> = []
        /// Units that were leased to workers and not revoked.
        var sent: [WorkerID: Set<LeasedUnit>] = [:]
        /// Jobs that clients can query.
        var settled: Set<JobID> = []
        /// The jobs that had ended at the decision of each removal of blobs.
        var removals: [Set<JobID>] = []
    }

    /// Checks that an effect is durable and in its turn.
    mutating func willPerform(_ effect: SchedulerEffect, _ jobs: [SimulatedJob], _ ids: [JobID]) {
        switch effect {
        case .tell(let notice):
            checkTurn(of: "\(notice)", about: notice.job)
            // The worker joined again in the same batch.
            if case .workerJoined(let worker) = notice { performance.forgotten.remove(worker) }
        case .forget(let worker):
            performance.sent[worker] = nil
            if capacities[worker] == nil { performance.forgotten.insert(worker) }
        case .send(let order): check(sent: order, jobs, ids)
        case .compute(let lease): checkBegin(lease, jobs, ids)
        case .tellUnavailable: break
        case .letGo(let job):
            if outcomes[job] == nil { violations.append("\(job) is let go, and its end is not durable") }
            for (worker, leases) in performance.sent {
                for lease in leases where lease.unit.job == job {
                    violations.append("\(job) is let go while \(worker) has \(lease.unit)")
                }
            }
            performance.isLetGo.insert(job)
        case .remove, .clearStore:
            let ended = performance.removals.isEmpty ? [] : performance.removals.removeFirst()
            for job in ended where !performance.isLetGo.contains(job) {
                violations.append("blobs are removed before \(job) is let go")
            }
        case .settle:
            for job in outcomes.keys where !performance.isLetGo.contains(job) {
                violations.append("clients are told of the end of \(job), which is not let go")
            }
            performance.settled = Set(accepted.keys)
        case .accept(let job):
            if !performance.settled.contains(job) { violations.append("\(job) is accepted and cannot be asked about") }
        }
    }

    private mutating func check(sent addressed: AddressedOrder, _ jobs: [SimulatedJob], _ ids: [JobID]) {
        let worker = addressed.worker
        if capacities[worker] != nil { performance.forgotten.remove(worker) }
        if performance.forgotten.contains(worker) {
            violations.append("\(addressed.order) is for \(worker), who is forgotten")
        }
        switch addressed.order {
        case .lease(let lease):
            checkBegin(lease, jobs, ids)
            // A result from an earlier process may already have answered the lease in the same batch.
            if given[worker]?[lease] != nil { performance.sent[worker, default: []].insert(lease) }
        case .revoke(let lease): performance.sent[worker]?.remove(lease)
        case .collect, .discard, .drain, .dismiss: break
        }
    }

    private mutating func checkTurn(of effect: String, about job: JobID?) {
        if let job, performance.isLetGo.contains(job) { violations.append("\(effect) comes after \(job) was let go") }
    }

    private mutating func checkBegin(_ lease: LeasedUnit, _ jobs: [SimulatedJob], _ ids: [JobID]) {
        checkTurn(of: "the lease of \(lease.unit)", about: lease.unit.job)
        if accepted[lease.unit.job] == nil { violations.append("\(lease.unit) is leased and its job is not durable") }
        let unit = jobs[ids.firstIndex(of: lease.unit.job) ?? 0].plan.units[lease.unit.unit.position]
        for dependency in unit.dependencies
        where !finished.contains(UnitReference(job: lease.unit.job, unit: dependency)) {
            violations.append("\(lease.unit) is sent before the result of \(dependency) is durable")
        }
    }
}

extension SchedulerEffect {
    /// Whether the effect removes blobs of the coordinator's store.
    fileprivate var isRemoval: Bool {
        switch self {
        case .remove, .clearStore: true
        default: false
        }
    }
}

extension SchedulerNotice {
    /// The job that a notice is about.
    fileprivate var job: JobID? {
        switch self {
        case .workerJoined, .workerLeft, .workerLost, .workerDraining: nil
        case .unitRetried(let leased, _, _, _), .lateResultUsed(let leased, _), .resultsDiffer(let leased, _),
            .stragglerRepeated(let leased, _), .leaseExpired(let leased, _, _), .unitPaused(let leased, _, _),
            .inputsLost(let leased, _, _):
            leased.unit.job
        case .unitMoved(let unit, _, _), .unitRevived(let unit), .unitRestored(let unit), .filesLost(let unit, _),
            .noWorkerFits(let unit, _):
            unit.job
        }
    }
}
