import Identifiers
import JobPlan
import Scheduling
import Testing

/// A scheduler with its journal; the invariants are checked after every event.
///
/// Every test of this target drives the scheduler through this type.
struct CheckedScheduler {
    private(set) var scheduler: Scheduler
    /// All records, across all restarts.
    private(set) var journal: [JournalRecord] = []
    private(set) var now = SchedulerInstant(sinceStart: .zero)
    /// Text added to a violation: the seed of a random run.
    var context = ""
    /// Whether an invariant was violated; a random run then stops.
    private(set) var isViolated = false

    private let settings: SchedulerSettings
    private var plans: [JobID: JobPlan] = [:]
    private var finished: Set<UnitReference> = []
    private var ended: Set<JobID> = []
    /// Leases since the coordinator's last start.
    private var attempts: [UnitReference: Attempt] = [:]
    /// Finished units that are computed again because their blobs were lost.
    private var revived: Set<UnitReference> = []
    /// The blobs in the coordinator's store.
    private var stored: [BlobReference] = []

    /// The units of most tests are brief, and stand for longer ones.
    static let settings: SchedulerSettings = {
        var settings = SchedulerSettings()
        settings.queuedBriefUnitsPerWorker = 0
        return settings
    }()

    init(settings: SchedulerSettings = settings) {
        self.settings = settings
        scheduler = Scheduler(settings: settings)
    }

    /// Lets time pass.
    mutating func advance(by duration: Duration) { now = now.advanced(by: duration) }

    /// Passes an event to the scheduler, at the current time.
    mutating func handle(
        _ event: SchedulerEvent,
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> SchedulerEffects {
        switch event {
        case .jobSubmitted(let header, let plan): plans[header.id] = plan
        case .blobStored(let blob): stored.append(blob)
        case .blobUnreadable(let blob): stored.removeAll { $0.digest == blob }
        default: break
        }
        let effects = scheduler.handle(event, at: now)
        var violations = scheduler.violatedInvariants()
        for record in effects.records { violations += check(record) }
        for case .unitRevived(let unit) in effects.notices { revived.insert(unit) }
        for case .filesLost(let unit, _) in effects.notices { revived.insert(unit) }
        for case .placesLost(let unit, _, _) in effects.notices { revived.insert(unit) }
        for case .unitRestored(let unit) in effects.notices { revived.remove(unit) }
        if effects.clearsStore { stored = [] }
        stored.removeAll { effects.unneeded.contains($0.digest) }
        for order in effects.orders { violations += check(order) }
        for lease in effects.coordinatorWork { violations += check(lease, isForWorker: false) }
        if effects.endedJobs.contains(where: { !ended.contains($0) }) {
            violations.append("a job ended without a record")
        }
        journal += effects.records
        for violation in violations {
            Issue.record("\(context) after \(event): \(violation)", sourceLocation: sourceLocation)
            isViolated = true
        }
        return effects
    }

    /// Submits a job.
    ///
    /// - Throws: what planning throws.
    mutating func submit(_ job: SmallJob) throws -> SchedulerEffects {
        handle(.jobSubmitted(job.header, try job.plan()))
    }

    // MARK: - Restarts

    /// A fresh scheduler into which the records are folded, as at a coordinator's start.
    func replayed() -> Scheduler {
        var fresh = Scheduler(settings: settings)
        for record in journal {
            guard case .jobAccepted(let header) = record else {
                fresh.apply(record)
                continue
            }
            fresh.apply(record, plan: plans[header.id])
        }
        return fresh
    }

    /// Restarts the coordinator; only the journal and its store remain.
    ///
    /// - Parameters:
    ///   - keepsStore: Whether the store remains.
    ///   - sourceLocation: Where a violation is reported.
    /// - Returns: The first effects after the restart.
    mutating func restart(
        keepsStore: Bool = true,
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> SchedulerEffects {
        scheduler = replayed()
        attempts = [:]
        revived = []
        if !keepsStore { stored = [] }
        now = SchedulerInstant(sinceStart: .zero)
        for violation in scheduler.violatedInvariants() {
            Issue.record("\(context) after a restart: \(violation)", sourceLocation: sourceLocation)
        }
        return handle(.restarted(stored: stored), sourceLocation: sourceLocation)
    }

    /// Checks that the journal alone gives the scheduler's jobs and results.
    func checkReplay(sourceLocation: SourceLocation = #_sourceLocation) {
        // Lost blobs and full disks are not in the journal.
        guard revived.isEmpty, scheduler.jobStatuses.allSatisfy({ $0.pauseReason == nil }) else { return }
        let fresh = replayed()
        #expect(fresh.jobStatuses == scheduler.jobStatuses, "\(context)", sourceLocation: sourceLocation)
        #expect(fresh.violatedInvariants() == [], "\(context)", sourceLocation: sourceLocation)
        for unit in plans.flatMap({ job, plan in plan.units.map { UnitReference(job: job, unit: $0.index) } })
        where fresh.result(of: unit) != scheduler.result(of: unit) {
            Issue.record("\(context) \(unit) has another result after a replay", sourceLocation: sourceLocation)
        }
    }

    // MARK: - What must hold of effects

    private mutating func check(_ record: JournalRecord) -> [String] {
        switch record {
        case .jobAccepted(let header): return ended.contains(header.id) ? ["\(header.id) is accepted again"] : []
        case .unitFinished(let unit, _, _, _, _):
            let isFirst = finished.insert(unit).inserted
            return (isFirst || revived.remove(unit) != nil ? [] : ["\(unit) is recorded as finished twice"])
                + (ended.contains(unit.job) ? ["\(unit) is recorded behind the end of its job"] : [])
        case .unitFailed(let unit, _, _):
            let isFinished = finished.contains(unit) && !revived.contains(unit)
            return isFinished || ended.contains(unit.job) ? ["\(unit) is recorded as failed too late"] : []
        case .jobEnded(let job, _, _): return ended.insert(job).inserted ? [] : ["\(job) ends twice"]
        }
    }

    private mutating func check(_ order: AddressedOrder) -> [String] {
        guard case .lease(let lease) = order.order else { return [] }
        let isThere = scheduler.workerStatuses.contains { $0.id == order.worker }
        return check(lease, isForWorker: true)
            + (isThere ? [] : ["\(lease.unit) is leased to \(order.worker), who is not there"])
    }

    private mutating func check(_ lease: LeasedUnit, isForWorker: Bool) -> [String] {
        guard let plan = plans[lease.unit.job], plan.units.indices.contains(lease.unit.unit.position) else {
            return ["\(lease.unit) is leased and not planned"]
        }
        var violations: [String] = []
        let unit = plan.units[lease.unit.unit.position]
        if finished.contains(lease.unit), !revived.contains(lease.unit) {
            violations.append("\(lease.unit) is leased and was finished")
        }
        if ended.contains(lease.unit.job) { violations.append("\(lease.unit) is leased and its job has ended") }
        if unit.isForWorker != isForWorker { violations.append("\(lease.unit) is leased to the wrong side") }
        if lease.attempt <= attempts[lease.unit] ?? Attempt(0) {
            violations.append("\(lease.unit) is leased again as attempt \(lease.attempt)")
        }
        attempts[lease.unit] = lease.attempt
        for dependency in unit.dependencies
        where !finished.contains(UnitReference(job: lease.unit.job, unit: dependency)) {
            violations.append("\(lease.unit) is leased before \(dependency) is finished")
        }
        return violations
    }
}
