import Identifiers
public import JobPlan
import OrderedCollections
import UnitOperations

/// Decides who computes what: events in, effects out; no clock, no I/O, no randomness.
///
/// Every external failure is an event. Only the records outlive the process: replaying them through ``apply(_:plan:)``
/// gives the same jobs, units and results. Nothing depends on the order of a hashed collection, so the same events give
/// the same effects in every process. Source: DESIGN section 5 (schedule) and 6 (guarantees).
public struct Scheduler: Sendable {
    /// The scheduler's limits.
    public let settings: SchedulerSettings
    /// The running jobs.
    var jobs: OrderedDictionary<JobID, JobProgress> = [:]
    /// The ended jobs, the oldest first.
    ///
    /// Bound: ``SchedulerSettings/endedJobsMax``.
    var ended: OrderedDictionary<JobID, EndedJob> = [:]
    /// Jobs of the journal whose end has not been read yet.
    private var unplanned: [JobID: UnplannedJob] = [:]
    var known = KnownResults()
    var roster: WorkerRoster
    var ledger = BlobLedger()
    var queues = UnitQueues()
    var shared = SharedUnits()
    var fileWaits = FileWaits()
    var reservations = Reservations()
    /// The units in progress on workers, for stragglers.
    var started = StartedUnits()
    /// Which workers must be asked for a unit.
    var search = AssignmentSearch()
    /// The units on the coordinator's own lanes, also those of jobs that have ended meanwhile.
    var coordinatorLeases: Set<LeasedUnit> = []
    /// Until this instant a worker that returns may offer a blob that nobody has now.
    var blobsSettleAt: SchedulerInstant?
    /// Whether some blobs that only leaving workers have may be needed and not yet wanted.
    var rescueIsDue = false
    private var acceptedJobCount = 0
    /// The last requested deadline, on the coordinator's clock.
    private var deadline: SchedulerInstant?
    /// The total time in which the coordinator did not run although its clock advanced.
    private var unattended: Duration = .zero
    /// The latest instant, on the clock without that time.
    private var latest = SchedulerInstant(sinceStart: .zero)

    /// Begins without jobs and workers.
    public init(settings: SchedulerSettings = SchedulerSettings()) {
        self.settings = settings
        roster = WorkerRoster(settings)
    }

    /// Takes an event and says what to do.
    ///
    /// - Parameters:
    ///   - event: The event.
    ///   - instant: Its time on the coordinator's monotonic clock.
    /// - Returns: The effects, in the order of ``SchedulerEffects/inOrder``.
    public mutating func handle(_ event: SchedulerEvent, at instant: SchedulerInstant) -> SchedulerEffects {
        let now = attended(instant)
        var effects = SchedulerEffects()
        if !event.isProgress { search.isSettled = false }
        switch event {
        case .jobSubmitted(let header, let plan): submit(header, plan, &effects)
        case .jobCancelled(let job): end(job, .cancelled, &effects)
        case .workerJoined(let worker, let capacity): join(worker, capacity, now, &effects)
        case .workerHeard(let worker): hear(worker, now, &effects)
        case .workerProgressed(let worker, let units): progress(worker, units, now, &effects)
        case .workerDraining(let worker): drain(worker, isConfirmed: true, now, &effects)
        case .drainRequested(let worker): drain(worker, isConfirmed: false, now, &effects)
        case .workerLeft(let worker, let reason): lose(worker, reason: reason, isFarewell: true, now, &effects)
        case .unitStarted(let leased, let worker): start(leased, worker, now)
        case .unitFinished(let leased, let executor, let result, let duration):
            hear(executor, now)
            finish(leased, executor, result, duration, now, &effects)
        case .unitFailed(let leased, let executor, let failure):
            hear(executor, now)
            fail(leased, executor, failure, now, &effects)
        case .blobsHeld, .blobsDropped, .blobWanted, .blobStored, .blobUnreadable, .collectionFailed, .collectionPaused:
            noteBlobs(event, now)
        case .filesLost(let unit, let reason): loseFiles(of: unit, reason, &effects)
        case .placesLost(let unit, let outputs, let reason): losePlaces(of: unit, outputs, reason, &effects)
        case .restarted(let stored): restart(stored, now)
        case .deadlineReached: passDeadline(now, &effects)
        }
        if event.isSignOfLife {
            // These are by far the most frequent events. They free no lane and bring no blob, but time passes with
            // them.
            repeatStragglers(now, &effects)
        } else {
            repeat {
                settleKnownUnits(&effects)
                assignWork(now, &effects)
            } while shared.hasUnsettled
            rescueBlobsOfLeavingWorkers()
            collectBlobs(now, &effects)
            endPauses()
        }
        dismissDrainedWorkers(now, &effects)
        deadline = nextDeadline()?.advanced(by: unattended)
        effects.deadline = deadline
        return effects
    }

    /// The instant on a clock that stops while the coordinator does not run.
    ///
    /// If it had run, it would have asked in time.
    ///
    /// While the machine slept, or the process was stopped or waited for its disk, no worker could be heard. That says
    /// nothing about the workers.
    private mutating func attended(_ instant: SchedulerInstant) -> SchedulerInstant {
        if let deadline, deadline.advanced(by: settings.absenceMin) < instant {
            unattended = instant.sinceStart - latest.sinceStart
        }
        latest = SchedulerInstant(sinceStart: max(latest.sinceStart, instant.sinceStart - unattended))
        return latest
    }

    /// Folds a fact from the journal into the state, as ``handle(_:at:)`` did when the fact was recorded.
    ///
    /// - Parameters:
    ///   - record: The fact. For a job that was not accepted, only results with a key are remembered.
    ///   - plan: The plan of an accepted job, made again from its header; `nil` when a later record says that the job
    ///     ended.
    public mutating func apply(_ record: JournalRecord, plan: JobPlan? = nil) {
        switch record {
        case .jobAccepted(let header):
            if let plan {
                jobs[header.id] = JobProgress(
                    header: header, plan: plan, number: acceptedJobCount, storesLast: settings.collectsForWorkers)
                enqueueReadyUnits(of: header.id)
            } else {
                unplanned[header.id] = UnplannedJob(header: header, number: acceptedJobCount)
            }
            acceptedJobCount += 1
        case .unitFinished(let unit, let executor, let result, let duration, let key):
            // Another unit cannot have what its worker does not keep.
            if let key, kept(result, of: unit).count == result.blobs.count {
                known.insert(result.withoutPlaces, for: key, limit: settings.knownResultsMax)
                shared.noteKnown(key.unit, by: unit)
            }
            change(unit.job) { $0.regimes[unit.unit] = key?.regime }
            if !unplanned.isEmpty { unplanned[unit.job]?.finished.insert(unit.unit) }
            setFinished(unit, executor, result, duration)
        case .unitFailed(let unit, let executor, _):
            jobs[unit.job]?.failures[unit.unit, default: []].append(executor)
        case .jobEnded(let job, let outcome, let finishedUnits):
            retire(job, outcome, finishedUnits)
            queues.remove(job)
            shared.remove(job)
            fileWaits.remove(job)
            reservations.remove(job)
            started.remove(job)
        }
    }

    /// Keeps only the part of a job that clients may ask about.
    private mutating func retire(_ id: JobID, _ outcome: JobOutcome, _ finishedUnits: Int?) {
        if let job = jobs.removeValue(forKey: id) {
            ended[id] = EndedJob(job, outcome)
        } else if let job = unplanned.removeValue(forKey: id) {
            ended[id] = EndedJob(job, outcome, finishedUnits: finishedUnits)
        }
        if ended.count > settings.endedJobsMax { ended.removeFirst() }
    }

    mutating func record(_ record: JournalRecord, plan: JobPlan? = nil, _ effects: inout SchedulerEffects) {
        apply(record, plan: plan)
        effects.records.append(record)
    }

    // MARK: - Jobs

    /// Reads a running job in its place; `nil` for other jobs.
    ///
    /// A copy has dozens of parts. While it is alive, a change of the job copies the tables of all units.
    func read<Value>(_ job: JobID, _ body: (JobProgress) -> Value) -> Value? {
        jobs.index(forKey: job).map { body(jobs.values[$0]) }
    }

    /// Changes a running job in its place; does nothing for other jobs.
    ///
    /// An assignment through the job's name would move all of the job out of the dictionary and back.
    mutating func change(_ job: JobID, _ body: (inout JobProgress) -> Void) {
        if let position = jobs.index(forKey: job) { body(&jobs.values[position]) }
    }

    /// The state of a unit of a running job.
    func state(of unit: UnitReference) -> JobProgress.UnitState? { read(unit.job) { $0.states[unit.unit.position] } }

    /// The cost of a unit of a running job.
    func cost(of unit: UnitReference) -> UnitCost? { read(unit.job) { $0.plan.units[unit.unit.position].cost } }

    private mutating func submit(_ header: JobHeader, _ plan: JobPlan, _ effects: inout SchedulerEffects) {
        guard jobs[header.id] == nil, ended[header.id] == nil else { return }
        record(.jobAccepted(header), plan: plan, &effects)
    }

    mutating func end(_ job: JobID, _ outcome: JobOutcome, _ effects: inout SchedulerEffects) {
        guard let progress = jobs[job] else { return }
        search.isSettled = false
        let finishedUnits = progress.plan.units.count - progress.unfinishedCount
        record(.jobEnded(job, outcome, finishedUnits: finishedUnits), &effects)
        effects.endedJobs.append(job)
        for (worker, state) in roster.workers {
            for (unit, lease) in state.leases where unit.job == job {
                effects.order(.revoke(LeasedUnit(unit, lease.attempt)), to: worker)
                roster.update(worker) { $0.leases[unit] = nil }
            }
        }
        forgetUnneededWishes()
        rescueIsDue = true
        if jobs.isEmpty {
            ledger.clearStore()
            effects.clearsStore = true
        } else {
            // Do not wait for the end of all jobs: the blobs of the first ones could fill the disk.
            effects.unneeded += ledger.unstoreAll(except: Set(blobsStillRead))
        }
    }

    /// The coordinator starts.
    ///
    /// It knows its store's blobs, but not yet those of the workers.
    private mutating func restart(_ stored: [BlobReference], _ now: SchedulerInstant) {
        for blob in stored { ledger.store(blob.digest) }
        blobsSettleAt = now.advanced(by: settings.workerTimeout)
        // The replay did not know the state of the files that wanted their blobs.
        forgetUnneededWishes()
        rescueIsDue = true
    }

    // MARK: - Time

    private mutating func passDeadline(_ now: SchedulerInstant, _ effects: inout SchedulerEffects) {
        for worker in roster.expired(at: now, timeout: settings.workerTimeout) {
            lose(worker, reason: "not heard for \(settings.workerTimeout)", now, &effects)
        }
        expireLeases(now, &effects)
        roster.resume(at: now)
        ledger.resume(at: now)
        if let instant = blobsSettleAt, instant <= now { blobsSettleAt = nil }
        for unit in queues.resting {
            guard case .resting(let until) = jobs[unit.job]?.states[unit.unit.position], until <= now else { continue }
            queues.resting.remove(unit)
            jobs[unit.job]?.states[unit.unit.position] = .ready
            enqueue(unit)
        }
    }

    /// Ends a job's pause when all work delayed by a full disk is done; a new attempt alone does not end it.
    private mutating func endPauses() {
        guard !ledger.wishes.hasHeldUp else { return }
        for job in jobs.keys where jobs[job]?.pauseReason != nil && jobs[job]?.rests.isEmpty == true {
            jobs[job]?.pauseReason = nil
        }
    }

    private func nextDeadline() -> SchedulerInstant? {
        let rests = queues.resting.compactMap { unit -> SchedulerInstant? in
            if case .resting(let until) = jobs[unit.job]?.states[unit.unit.position] { until } else { nil }
        }
        return [
            roster.nextInstant(timeout: settings.workerTimeout), roster.nextLeaseEnd, blobsSettleAt, rests.min(),
            ledger.nextInstant,
        ].compactMap { $0 }.min()
    }
}
