import Identifiers
public import JobPlan
import OrderedCollections

/// Who computes what now: events in, effects out; no clock, no I/O, no randomness.
///
/// Every failure of the world is an event. The only state that outlives the process is what the records say:
/// replaying them through ``apply(_:plan:)`` gives the same jobs, units and results. Nothing here depends on the order
/// of a hashed collection: the same events give the same effects in every process.
/// Source: DESIGN section 5 (schedule) and 6 (guarantees).
public struct Scheduler: Sendable {
    /// The limits that it keeps.
    public let settings: SchedulerSettings
    /// The jobs that run.
    var jobs: OrderedDictionary<JobID, JobProgress> = [:]
    /// Those that have ended, the oldest first.
    ///
    /// Bound: ``SchedulerSettings/endedJobsMax``.
    var ended: OrderedDictionary<JobID, EndedJob> = [:]
    /// Jobs of the journal whose end is still to be read.
    private var unplanned: [JobID: UnplannedJob] = [:]
    var known = KnownResults()
    var roster = WorkerRoster()
    var ledger = BlobLedger()
    var queues = UnitQueues()
    var shared = SharedUnits()
    var fileWaits = FileWaits()
    var reservations = Reservations()
    /// Units that the coordinator's own lanes have, those included whose job has ended meanwhile.
    var coordinatorLeases: Set<LeasedUnit> = []
    /// Until then a blob that nobody has may still be offered by a worker that comes back.
    var blobsSettleAt: SchedulerInstant?
    /// Whether blobs that only leaving workers have may be needed and not be wanted yet.
    var rescueIsDue = false
    private var acceptedJobCount = 0
    /// The instant that was named last as the one at which to ask again, on the coordinator's clock.
    private var deadline: SchedulerInstant?
    /// The time in which the coordinator did not run although its clock did.
    private var unattended: Duration = .zero
    /// The last instant, on the clock that does not count that time.
    private var latest = SchedulerInstant(sinceStart: .zero)

    /// Begins without jobs and workers.
    public init(settings: SchedulerSettings = SchedulerSettings()) {
        self.settings = settings
    }

    /// Takes in what has happened and says what to do.
    ///
    /// - Parameters:
    ///   - event: What has happened.
    ///   - instant: When, on the coordinator's monotonic clock.
    /// - Returns: What to do; ``SchedulerEffects/inOrder`` says in which order.
    public mutating func handle(_ event: SchedulerEvent, at instant: SchedulerInstant) -> SchedulerEffects {
        let now = attended(instant)
        var effects = SchedulerEffects()
        switch event {
        case .jobSubmitted(let header, let plan): submit(header, plan, &effects)
        case .jobCancelled(let job): end(job, .cancelled, &effects)
        case .workerJoined(let worker, let capacity): join(worker, capacity, now, &effects)
        case .workerHeard(let worker): hear(worker, now, &effects)
        case .workerProgressed(let worker, let units): progress(worker, units, now, &effects)
        case .workerDraining(let worker): drain(worker, isConfirmed: true, now, &effects)
        case .drainRequested(let worker): drain(worker, isConfirmed: false, now, &effects)
        case .workerLeft(let worker, let reason): lose(worker, reason: reason, isFarewell: true, now, &effects)
        case .unitStarted(let unit, let attempt, let worker): start(unit, attempt, worker, now)
        case .unitFinished(let unit, let attempt, let executor, let result, let duration):
            hear(executor, now)
            finish(unit, attempt, executor, result, duration, now, &effects)
        case .unitFailed(let unit, let attempt, let executor, let failure):
            hear(executor, now)
            fail(unit, attempt, executor, failure, now, &effects)
        case .blobsHeld, .blobsDropped, .blobWanted, .blobStored, .blobUnreadable, .collectionFailed, .collectionPaused:
            noteBlobs(event, now)
        case .filesLost(let unit, let reason): loseFiles(of: unit, reason, &effects)
        case .restarted(let stored): restart(stored, now)
        case .deadlineReached: passDeadline(now, &effects)
        }
        if event.isSignOfLife {
            // The most frequent events by far: they free no lane and bring no blob, but time passes with them.
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

    /// The instant on a clock that stands still while the coordinator does: had it run, it would have asked in time.
    ///
    /// Nobody was heard while the machine slept, or while the process was stopped or waited for its disk; that says
    /// nothing about the workers.
    private mutating func attended(_ instant: SchedulerInstant) -> SchedulerInstant {
        if let deadline, deadline.advanced(by: settings.absenceMin) < instant {
            unattended = instant.sinceStart - latest.sinceStart
        }
        latest = SchedulerInstant(sinceStart: max(latest.sinceStart, instant.sinceStart - unattended))
        return latest
    }

    /// Folds a fact from the journal into the state, as ``handle(_:at:)`` did when it was recorded.
    ///
    /// - Parameters:
    ///   - record: The fact; of facts about jobs that were not accepted only results with a key are remembered.
    ///   - plan: The plan of an accepted job, made anew from its header; `nil` when it has ended according to a later
    ///     record.
    public mutating func apply(_ record: JournalRecord, plan: JobPlan? = nil) {
        switch record {
        case .jobAccepted(let header):
            if let plan {
                jobs[header.id] = JobProgress(header: header, plan: plan, number: acceptedJobCount)
                enqueueReadyUnits(of: header.id)
            } else {
                unplanned[header.id] = UnplannedJob(header: header, number: acceptedJobCount)
            }
            acceptedJobCount += 1
        case .unitFinished(let unit, let executor, let result, let duration, let key):
            if let key {
                known.insert(result, for: key, limit: settings.knownResultsMax)
                shared.noteKnown(key, by: unit)
            }
            unplanned[unit.job]?.finished.insert(unit.unit)
            setFinished(unit, executor, result, duration)
        case .unitFailed(let unit, let executor, _):
            jobs[unit.job]?.failures[unit.unit, default: []].append(executor)
        case .jobEnded(let job, let outcome, let finishedUnits):
            retire(job, outcome, finishedUnits)
            queues.remove(job)
            shared.remove(job)
            fileWaits.remove(job)
            reservations.remove(job)
        }
    }

    /// Keeps of a job only what may be asked about it.
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

    private mutating func submit(_ header: JobHeader, _ plan: JobPlan, _ effects: inout SchedulerEffects) {
        guard jobs[header.id] == nil, ended[header.id] == nil else { return }
        record(.jobAccepted(header), plan: plan, &effects)
    }

    mutating func end(_ job: JobID, _ outcome: JobOutcome, _ effects: inout SchedulerEffects) {
        guard let progress = jobs[job] else { return }
        let finishedUnits = progress.plan.units.count - progress.unfinishedCount
        record(.jobEnded(job, outcome, finishedUnits: finishedUnits), &effects)
        effects.endedJobs.append(job)
        for (worker, state) in roster.workers {
            for (unit, lease) in state.leases where unit.job == job {
                effects.order(.revoke(LeasedUnit(unit, lease.attempt)), to: worker)
                roster.workers[worker]?.leases[unit] = nil
            }
        }
        ledger.forgetWishes(except: Set(jobs.values.flatMap { neededFiles(of: $0) }))
        rescueIsDue = true
        if jobs.isEmpty {
            ledger.clearStore()
            effects.clearsStore = true
        } else {
            // Before all jobs have ended the disk may be full of what the first have left.
            effects.unneeded += ledger.unstoreAll(except: Set(blobsStillRead))
        }
    }

    /// The coordinator begins: what its store holds is known, what workers hold is not yet.
    private mutating func restart(_ stored: [BlobReference], _ now: SchedulerInstant) {
        for blob in stored { ledger.store(blob.digest) }
        blobsSettleAt = now.advanced(by: settings.workerTimeout)
        // The facts were folded without knowing what became of the files that their blobs were for.
        ledger.forgetWishes(except: Set(jobs.values.flatMap { neededFiles(of: $0) }))
        rescueIsDue = true
    }

    // MARK: - Time

    private mutating func passDeadline(_ now: SchedulerInstant, _ effects: inout SchedulerEffects) {
        for worker in roster.expired(at: now, timeout: settings.workerTimeout) {
            lose(worker, reason: "not heard for \(settings.workerTimeout)", now, &effects)
        }
        expireLeases(now, &effects)
        roster.resume(at: now)
        ledger.resume(at: now, collectionTimeout: settings.collectionTimeout)
        if let instant = blobsSettleAt, instant <= now { blobsSettleAt = nil }
        for unit in queues.resting {
            guard case .resting(let until) = jobs[unit.job]?.states[unit.unit.position], until <= now else { continue }
            queues.resting.remove(unit)
            jobs[unit.job]?.states[unit.unit.position] = .ready
            enqueue(unit)
        }
    }

    /// A job is paused until what a full disk held up is done: that it is tried again says nothing yet.
    private mutating func endPauses() {
        guard !ledger.hasHeldUp else { return }
        for job in jobs.keys where jobs[job]?.pauseReason != nil && jobs[job]?.rests.isEmpty == true {
            jobs[job]?.pauseReason = nil
        }
    }

    private func nextDeadline() -> SchedulerInstant? {
        let rests = queues.resting.compactMap { unit -> SchedulerInstant? in
            if case .resting(let until) = jobs[unit.job]?.states[unit.unit.position] { until } else { nil }
        }
        return [
            roster.nextInstant(timeout: settings.workerTimeout), nextLeaseExpiry(), blobsSettleAt, rests.min(),
            ledger.nextInstant(collectionTimeout: settings.collectionTimeout),
        ].compactMap { $0 }.min()
    }
}
