import Identifiers
public import JobPlan
import OrderedCollections

/// Who computes what now: events in, effects out; no clock, no I/O, no randomness.
///
/// Every failure of the world is an event. The only state that outlives the process is what the records say:
/// replaying them through ``apply(_:plan:)`` gives the same jobs, units and results.
/// Source: DESIGN section 5 (schedule) and 6 (guarantees).
public struct Scheduler: Sendable {
    let settings: SchedulerSettings
    var jobs: OrderedDictionary<JobID, JobProgress> = [:]
    var roster = WorkerRoster()
    var workerQueue = ReadyQueue()
    var coordinatorQueue = ReadyQueue()
    var coordinatorLeases: Set<LeasedUnit> = []
    private var acceptedJobCount = 0

    /// Begins without jobs and workers.
    public init(settings: SchedulerSettings = SchedulerSettings()) {
        self.settings = settings
    }

    /// Takes in what has happened and says what to do.
    ///
    /// - Parameters:
    ///   - event: What has happened.
    ///   - now: When, on the coordinator's monotonic clock.
    /// - Returns: What to do, in the order that the type documents.
    public mutating func handle(_ event: SchedulerEvent, at now: SchedulerInstant) -> SchedulerEffects {
        var effects = SchedulerEffects()
        switch event {
        case .jobSubmitted(let header, let plan): submit(header, plan, &effects)
        case .jobCancelled(let job): end(job, .cancelled, &effects)
        case .workerJoined(let worker, let capacity): join(worker, capacity, now, &effects)
        case .workerHeard(let worker): roster.workers[worker]?.lastHeard = now
        case .workerLeft(let worker, let reason): lose(worker, reason: reason, isFarewell: true, &effects)
        case .unitStarted(let unit, let attempt, let worker): start(unit, attempt, worker, now)
        case .unitFinished(let unit, let attempt, let executor, let result, let duration):
            hear(executor, now)
            finish(unit, attempt, executor, result, duration, &effects)
        case .unitFailed(let unit, let attempt, let executor, let failure):
            hear(executor, now)
            fail(unit, attempt, executor, failure, &effects)
        case .deadlineReached:
            for worker in roster.expired(at: now, timeout: settings.workerTimeout) {
                lose(worker, reason: "not heard for \(settings.workerTimeout)", &effects)
            }
        }
        assignWork(&effects)
        effects.deadline = roster.nextExpiry(timeout: settings.workerTimeout)
        return effects
    }

    /// Folds a fact from the journal into the state, as ``handle(_:at:)`` did when it was recorded.
    ///
    /// - Parameters:
    ///   - record: The fact; facts about jobs that were not accepted are ignored.
    ///   - plan: The plan of an accepted job, made anew from its header.
    public mutating func apply(_ record: JournalRecord, plan: JobPlan? = nil) {
        switch record {
        case .jobAccepted(let header):
            guard let plan else { return }
            jobs[header.id] = JobProgress(header: header, plan: plan, number: acceptedJobCount)
            acceptedJobCount += 1
            enqueueReadyUnits(of: header.id)
        case .unitFinished(let unit, let executor, let result, let duration):
            setFinished(unit, executor, result, duration)
        case .unitFailed(let unit, let executor, _):
            jobs[unit.job]?.failures[unit.unit, default: []].append(executor)
        case .jobEnded(let job, let outcome):
            jobs[job]?.outcome = outcome
            workerQueue.removeAll(of: job)
            coordinatorQueue.removeAll(of: job)
        }
    }

    // MARK: - Jobs

    private mutating func submit(_ header: JobHeader, _ plan: JobPlan, _ effects: inout SchedulerEffects) {
        guard jobs[header.id] == nil else { return }
        record(.jobAccepted(header), plan: plan, &effects)
    }

    private mutating func record(_ record: JournalRecord, plan: JobPlan? = nil, _ effects: inout SchedulerEffects) {
        apply(record, plan: plan)
        effects.records.append(record)
    }

    private mutating func end(_ job: JobID, _ outcome: JobOutcome, _ effects: inout SchedulerEffects) {
        guard let progress = jobs[job], progress.outcome == nil else { return }
        record(.jobEnded(job, outcome), &effects)
        effects.endedJobs.append(job)
        for (worker, state) in roster.workers {
            for (unit, lease) in state.leases where unit.job == job {
                effects.orders.append(.revoke(worker, LeasedUnit(unit, lease.attempt)))
                roster.workers[worker]?.leases[unit] = nil
            }
        }
    }

    // MARK: - Workers

    private mutating func join(
        _ worker: WorkerID, _ capacity: WorkerCapacity, _ now: SchedulerInstant, _ effects: inout SchedulerEffects
    ) {
        guard roster.workers[worker] == nil else {
            // A greeting is repeated until it is answered; a restarted worker has another name, so this one still
            // holds what it held.
            hear(.worker(worker), now)
            return
        }
        roster.workers[worker] = WorkerRoster.Worker(capacity: capacity, lastHeard: now)
        effects.notices.append(.workerJoined(worker))
    }

    private mutating func hear(_ executor: UnitExecutorName, _ now: SchedulerInstant) {
        if case .worker(let worker) = executor { roster.workers[worker]?.lastHeard = now }
    }

    private mutating func lose(
        _ worker: WorkerID, reason: String, isFarewell: Bool = false, _ effects: inout SchedulerEffects
    ) {
        guard let lost = roster.workers.removeValue(forKey: worker) else { return }
        let units = lost.leases.count
        effects.notices.append(
            isFarewell
                ? .workerLeft(worker, reason: reason, units: units)
                : .workerLost(worker, reason: reason, units: units))
        for (unit, lease) in lost.leases where holds(unit, .worker(worker), lease.attempt) {
            // A farewell says nothing about the unit: a worker that is restarted for maintenance did not fail it.
            guard lease.hasStarted, !isFarewell else {
                release(unit)
                continue
            }
            let failure = UnitFailure(
                kind: .workerLost, message: "worker \"\(worker)\" was lost while it computed the unit (\(reason))")
            retry(unit, .worker(worker), failure, &effects)
        }
    }

    private mutating func start(
        _ unit: UnitReference, _ attempt: Attempt, _ worker: WorkerID, _ now: SchedulerInstant
    ) {
        roster.workers[worker]?.lastHeard = now
        guard roster.workers[worker]?.leases[unit]?.attempt == attempt else { return }
        roster.workers[worker]?.leases[unit]?.hasStarted = true
    }

    // MARK: - Units

    private mutating func finish(
        _ unit: UnitReference, _ attempt: Attempt, _ executor: UnitExecutorName, _ result: UnitResult,
        _ duration: UnitTiming, _ effects: inout SchedulerEffects
    ) {
        dropLease(unit, attempt, executor)
        guard let job = jobs[unit.job], job.outcome == nil, job.plan.units.indices.contains(unit.unit.position)
        else { return }
        if case .finished(let known) = job.states[unit.unit.position] {
            if !known.agrees(with: result) { effects.notices.append(.resultsDiffer(unit, executor)) }
            return
        }
        if !holds(unit, executor, attempt) {
            effects.notices.append(.lateResultUsed(unit, attempt))
            revokeHolder(of: unit, &effects)
        }
        record(.unitFinished(unit, executor, result, duration), &effects)
        if jobs[unit.job]?.unfinishedCount == 0 { end(unit.job, .succeeded, &effects) }
    }

    private mutating func fail(
        _ unit: UnitReference, _ attempt: Attempt, _ executor: UnitExecutorName, _ failure: UnitFailure,
        _ effects: inout SchedulerEffects
    ) {
        let isCurrent = holds(unit, executor, attempt)
        dropLease(unit, attempt, executor)
        // A superseded attempt's failure says nothing about the attempt that runs now.
        guard isCurrent, jobs[unit.job]?.outcome == nil else { return }
        retry(unit, executor, failure, &effects)
    }

    /// Counts a failure and queues the unit again, or ends its job.
    private mutating func retry(
        _ unit: UnitReference, _ executor: UnitExecutorName, _ failure: UnitFailure,
        _ effects: inout SchedulerEffects
    ) {
        guard let progress = jobs[unit.job], progress.outcome == nil else { return }
        let hasOtherWorker = hasWorkerWithoutFailure(of: unit, besides: executor)
        let memory = progress.plan.units[unit.unit.position].cost.memoryBytes
        let title = progress.plan.units[unit.unit.position].title
        effects.records.append(.unitFailed(unit, executor, failure))
        let isGivenUp =
            jobs[unit.job]?.countFailure(
                of: unit.unit, by: executor, failuresMax: settings.failuresMax, hasOtherWorker: hasOtherWorker) ?? false
        guard failure.kind != .badInput else {
            end(unit.job, .failed(failure), &effects)
            return
        }
        guard !isGivenUp else {
            let count = jobs[unit.job]?.failures[unit.unit]?.count ?? 0
            let message =
                "\(title): gave up after \(count) failures, the last on \(executor): \(failure.message) "
                + "(the unit needs \(memory >> 20) MiB of memory)"
            end(unit.job, .failed(UnitFailure(kind: failure.kind, message: message)), &effects)
            return
        }
        let failures = jobs[unit.job]?.failures[unit.unit]?.count ?? 0
        effects.notices.append(.unitRetried(unit, failure, failures: failures))
        release(unit)
    }

    private func hasWorkerWithoutFailure(of unit: UnitReference, besides executor: UnitExecutorName) -> Bool {
        guard let progress = jobs[unit.job], executor != .coordinator else { return false }
        let memory = progress.plan.units[unit.unit.position].cost.memoryBytes
        let failed = Set(progress.failures[unit.unit] ?? []).union([executor])
        return roster.workers.contains {
            !failed.contains(.worker($0.key)) && $0.value.capacity.memoryBytes >= memory
        }
    }

    // MARK: - Leases

    /// Whether somebody holds exactly this attempt of a unit.
    private func holds(_ unit: UnitReference, _ executor: UnitExecutorName, _ attempt: Attempt) -> Bool {
        guard let job = jobs[unit.job], job.states.indices.contains(unit.unit.position) else { return false }
        return job.states[unit.unit.position] == .leased(executor, attempt)
    }

    private mutating func dropLease(_ unit: UnitReference, _ attempt: Attempt, _ executor: UnitExecutorName) {
        switch executor {
        case .coordinator: coordinatorLeases.remove(LeasedUnit(unit, attempt))
        case .worker(let worker):
            if roster.workers[worker]?.leases[unit]?.attempt == attempt { roster.workers[worker]?.leases[unit] = nil }
        }
    }

    private mutating func revokeHolder(of unit: UnitReference, _ effects: inout SchedulerEffects) {
        guard let job = jobs[unit.job], case .leased(.worker(let worker), let attempt) = job.states[unit.unit.position]
        else { return }
        effects.orders.append(.revoke(worker, LeasedUnit(unit, attempt)))
        roster.workers[worker]?.leases[unit] = nil
    }

    /// Makes a leased unit ready again.
    private mutating func release(_ unit: UnitReference) {
        guard let job = jobs[unit.job], case .leased = job.states[unit.unit.position] else { return }
        jobs[unit.job]?.states[unit.unit.position] = .ready
        enqueue(unit)
    }

    private mutating func setFinished(
        _ unit: UnitReference, _ executor: UnitExecutorName, _ result: UnitResult, _ duration: UnitTiming
    ) {
        guard let job = jobs[unit.job], job.states.indices.contains(unit.unit.position) else { return }
        let entry = entry(for: unit)
        workerQueue.remove(entry)
        coordinatorQueue.remove(entry)
        jobs[unit.job]?.durations[unit.unit] = duration
        jobs[unit.job]?.executors[unit.unit] = executor
        for ready in jobs[unit.job]?.finish(unit.unit, result) ?? [] {
            enqueue(UnitReference(job: unit.job, unit: ready))
        }
    }

    private mutating func enqueueReadyUnits(of job: JobID) {
        guard let progress = jobs[job] else { return }
        for unit in progress.plan.units where progress.states[unit.index.position] == .ready {
            enqueue(UnitReference(job: job, unit: unit.index))
        }
    }

    private mutating func enqueue(_ unit: UnitReference) {
        guard let job = jobs[unit.job], job.outcome == nil else { return }
        if job.plan.units[unit.unit.position].isForWorker {
            workerQueue.insert(entry(for: unit))
        } else {
            coordinatorQueue.insert(entry(for: unit))
        }
    }

    private func entry(for unit: UnitReference) -> ReadyQueue.Entry {
        ReadyQueue.Entry(
            jobNumber: jobs[unit.job]?.number ?? 0, rank: jobs[unit.job]?.ranks[unit.unit.position] ?? 0,
            reference: unit)
    }
}
