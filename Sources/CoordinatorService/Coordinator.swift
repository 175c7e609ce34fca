import BlobStore
import Foundation
import Identifiers
import JobJournal
import JobPlan
import Logging
import Messaging
import Publication
import Scheduling
import Supervision
import SystemPackage
import Telemetry
import UnitOperations
import WireProtocol
import ZeroMQ

/// The coordinator's state and its only writer: it receives events, asks the scheduler, and performs the effects.
///
/// Events are collected while the journal commits earlier ones, so that many results share one commit.
/// Source: DESIGN section 5 and 6.
actor Coordinator {
    let configuration: CoordinatorConfiguration
    /// The coordinator's identity among those that publish files.
    let owner: ClaimOwner
    let endpoint: CoordinatorEndpoint
    let store: BlobStore
    private let journal: JobJournal
    private let durableRecord: DurableRecord
    let logger: Logger
    let supervision: DaemonSupervision
    let metrics: CoordinatorMetrics
    private let start = ContinuousClock.now
    /// The time since the start in which the process did not run.
    private var lostTime = Duration.zero

    private(set) var scheduler: Scheduler
    /// The jobs as of the last durable facts, so that what clients are told survives a crash.
    private(set) var settled = SettledJobs()
    /// How long jobs have been running.
    private(set) var clock = JobClock()
    var jobs: [JobID: Job] = [:]
    var workers: [WorkerID: ConnectedWorker] = [:]
    private var pending = PendingEvents()
    private var deadline: SchedulerInstant?
    private var submissions = 0
    private var acceptances: [JobID: CheckedContinuation<Bool, Never>] = [:]
    var history: RecentHistory
    /// The times when jobs succeeded, in seconds since 1970.
    ///
    /// Bound: the latest ``jobsShownMax``.
    private(set) var successes: [(job: JobID, at: Double)] = []
    private var isClosed = false
    /// The current units of the own lanes, by job; a job's files are removed only when no lane writes them.
    private var ownUnits: [JobID: Int] = [:]
    private var abandoned: [JobID: OutputDirectory] = [:]
    private let removal: FileRemoval
    let admissionDesk: AdmissionDesk
    /// The job files that are being checked, by client and request.
    ///
    /// Bound: the number of questions that wait.
    var checks: [RoutingIdentity: [UInt64: Task<ClientReply, Never>]] = [:]
    /// The jobs that wait to be accepted; nil when no job is being accepted.
    var acceptanceTurns: [CheckedContinuation<Void, Never>]?
    let outputDesk: OutputDesk
    /// Workers' requests for blobs that are being collected from other workers, by blob.
    ///
    /// Bound: each worker's limit of transfers.
    var waitingRanges: [BlobDigest: [(range: RangeRequest, peer: RoutingIdentity)]] = [:]
    var earlyResults = EarlyResults()
    /// What the coordinator knows to judge the workers' messages.
    var conduct = WorkerConduct()
    /// Why the journal cannot be written now; everything waits for room on the disk.
    private(set) var journalPause: String?

    private let wakeups: AsyncStream<Void>
    private let wakeSink: AsyncStream<Void>.Continuation
    /// Units for the coordinator's own lanes.
    ///
    /// Bound: ``SchedulerSettings/coordinatorLanes``.
    nonisolated let ownWork: AsyncStream<CoordinatorTask>
    private let ownWorkSink: AsyncStream<CoordinatorTask>.Continuation
    /// The messages about transfers.
    nonisolated let transfers = TransferQueue()

    init(
        configuration: CoordinatorConfiguration, endpoint: CoordinatorEndpoint, store: BlobStore, journal: JobJournal,
        owner: ClaimOwner, supervision: DaemonSupervision, logger: Logger, book: LogBook = LogBook()
    ) {
        self.configuration = configuration
        self.owner = owner
        self.endpoint = endpoint
        self.store = store
        self.journal = journal
        durableRecord = DurableRecord(store: store, journal: journal)
        self.logger = logger
        history = RecentHistory(book: book)
        self.supervision = supervision
        metrics = CoordinatorMetrics(factory: supervision.metrics)
        admissionDesk = AdmissionDesk(roots: configuration.roots, owner: owner)
        outputDesk = OutputDesk(roots: configuration.roots)
        var settings = SchedulerSettings()
        settings.workerTimeout = configuration.workerTimeout
        scheduler = Scheduler(settings: settings)
        removal = FileRemoval(store: store, logger: logger)
        (wakeups, wakeSink) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        (ownWork, ownWorkSink) = AsyncStream.makeStream(of: CoordinatorTask.self)
    }

    private var now: SchedulerInstant { SchedulerInstant(sinceStart: ContinuousClock.now - start - lostTime) }

    // MARK: - Events in

    /// Queues an event for the scheduler.
    func happen(_ event: SchedulerEvent) {
        metrics.note(event, stage: stage(of: event), share: sampleShare(of: event))
        history.note(event)
        if !pending.append(event) {
            logger.error("too many events wait for the journal; an event was dropped, as if its message were lost")
        }
        wakeSink.yield()
    }

    /// Whether a worker has greeted and the scheduler does not know it yet.
    func isJoining(_ worker: WorkerID) -> Bool { pending.isJoining(worker) }

    /// Handles events as they arrive, until cancelled.
    ///
    /// - Throws: `JobJournalError` when facts cannot be made durable. Then no effect may be performed.
    func handleEvents() async throws {
        for await _ in wakeups {
            while !pending.isEmpty { try await handlePending() }
        }
    }

    /// Tells the scheduler the time, until cancelled.
    ///
    /// The process may have been stopped, or the machine suspended. That time does not count as the workers' silence,
    /// because nobody could be heard.
    func watchDeadlines(_ pulse: ReplyPulse) async {
        defer { pulse.end() }
        let interval = Duration.milliseconds(200)
        var last = ContinuousClock.now
        while !Task.isCancelled {
            pulse.noteReply()
            try? await Task.sleep(for: interval)
            let pause = ContinuousClock.now - last - interval
            last = ContinuousClock.now
            if pause > .milliseconds(500) { lostTime += pause }
            if let due = deadline, due <= now {
                // The same deadline is not used twice. The answer names the next one.
                deadline = nil
                happen(.deadlineReached)
            }
        }
    }

    /// Ends the loops.
    func close() {
        isClosed = true
        for acceptance in acceptances.values { acceptance.resume(returning: false) }
        acceptances.removeAll()
        wakeSink.finish()
        ownWorkSink.finish()
        transfers.finish()
    }

    private func handlePending() async throws {
        var all: [SchedulerEffects] = []
        for event in pending.take() { all.append(scheduler.handle(event, at: now)) }
        deadline = all.last?.deadline
        let records = all.flatMap(\.records)
        // The scheduler does not change during the commit, so `settled` takes up exactly what was committed.
        if !records.isEmpty { try await commitWhenThereIsRoom(records) }
        let ended = all.flatMap(\.endedJobs)
        for job in ended { await end(job) }
        settled.update(from: scheduler, hasEnded: !ended.isEmpty)
        logProgress()
        for case .jobAccepted(let header) in records {
            acceptances.removeValue(forKey: header.id)?.resume(returning: true)
        }
        for effects in all { await perform(effects) }
        if !ended.isEmpty { await trimJournal() }
    }

    /// Makes facts durable, and waits while the disk is full; no effect is performed before its facts are recorded.
    private func commitWhenThereIsRoom(_ records: [JournalRecord]) async throws {
        while true {
            do {
                try await durableRecord.commit(records)
                if journalPause != nil { logger.notice("the journal is written again; work goes on") }
                journalPause = nil
                return
            } catch  where DiskSpace.isExhausted(error) {
                // The end does not wait for room. Work that is not recorded is done again after the next start.
                if isClosed { throw CancellationError() }
                if journalPause == nil { logger.error("paused", metadata: [LogKeys.cause: "\(error)"]) }
                journalPause = "\(error)"
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    // MARK: - Effects out

    private func perform(_ effects: SchedulerEffects) async {
        effects.notices.forEach(metrics.note)
        effects.notices.forEach(log)
        for order in effects.orders { await send(order) }
        for lease in effects.coordinatorWork { begin(lease) }
        for blob in effects.unavailable { await tellUnavailable(blob) }
        // Blobs at the coordinator belong to running jobs, and workers keep theirs for later ones. A job that was
        // accepted meanwhile may have collected a blob already. Then the end of the next job clears the store.
        await removal.remove(effects.unneeded)
        // What belongs to a single run goes with its directory.
        if effects.clearsStore, jobs.isEmpty, configuration.isLasting { await removal.clearStore() }
    }

    private func send(_ order: WorkerOrder) async {
        switch order {
        case .lease(let worker, let leased):
            clock.noteWork(of: leased.unit.job, scheduler.work(of: leased.unit.job))
            guard let peer = workers[worker]?.identity, let job = jobs[leased.unit.job] else { return }
            let resolution = LeaseResolution(job: job) { [scheduler] in
                scheduler.result(of: UnitReference(job: leased.unit.job, unit: $0))
            }
            guard let lease = resolution.lease(leased) else {
                let failure = UnitFailure(kind: .inputMissing, message: "a result that the unit depends on is missing")
                happen(.unitFailed(leased.unit, leased.attempt, by: .worker(worker), failure))
                return
            }
            conduct.given.give(LeasedUnitName(leased.unit, leased.attempt), to: worker)
            guard await endpoint.send(.coordinator(.lease(lease)), to: peer) else {
                let failure = UnitFailure(
                    kind: .badInput,
                    message: "the unit reads too many pieces of files to be handed out in one message. Write its input "
                        + "into fewer, larger files.")
                happen(.unitFailed(leased.unit, leased.attempt, by: .worker(worker), failure))
                return
            }
        case .revoke(let worker, let leased):
            guard let peer = workers[worker]?.identity else { return }
            await endpoint.send(.coordinator(.revoke(LeasedUnitName(leased.unit, leased.attempt))), to: peer)
        case .collect(let worker, let blob):
            conduct.given.ask(for: blob, of: worker)
            await tell(worker, .collect(blob))
        case .drain(let worker): await tell(worker, .drain)
        case .dismiss(let worker): await tell(worker, .dismiss)
        }
    }

    private func tell(_ worker: WorkerID, _ message: CoordinatorMessage) async {
        if let peer = workers[worker]?.identity { await endpoint.send(.coordinator(message), to: peer) }
    }

    private func begin(_ lease: LeasedUnit) {
        clock.noteWork(of: lease.unit.job, scheduler.work(of: lease.unit.job))
        guard let job = jobs[lease.unit.job] else {
            // The scheduler counts the lane as taken until it gets an event.
            happen(CoordinatorTask.unwanted(lease))
            return
        }
        ownUnits[lease.unit.job, default: 0] += 1
        let state = scheduler
        ownWorkSink.yield(
            CoordinatorTask(
                lease: lease, unit: job.plan.units[lease.unit.unit.position], job: job,
                results: { state.result(of: UnitReference(job: lease.unit.job, unit: $0)) },
                executions: { state.execution(of: UnitReference(job: lease.unit.job, unit: $0)) }))
    }

    /// Whether the job of an own unit still runs when the unit's turn comes.
    func isStillWanted(_ task: CoordinatorTask) -> Bool {
        jobs[task.job.id] != nil
    }

    /// Records the outcome of an own unit and frees its lane.
    ///
    /// After the last unit of a failed job, the job's files are removed.
    func finishOwn(_ task: CoordinatorTask, _ events: [SchedulerEvent]) async {
        ownUnits[task.job.id, default: 1] -= 1
        if ownUnits[task.job.id] == 0 {
            ownUnits[task.job.id] = nil
            if let output = abandoned.removeValue(forKey: task.job.id) { await removal.discard(output) }
        }
        events.forEach(happen)
    }

    /// Releases a job whose end is durable.
    private func end(_ id: JobID) async {
        guard let job = jobs.removeValue(forKey: id) else { return }
        conduct.resumedJobs.remove(id)
        clock.end(id)
        let outcome = scheduler.status(of: id)?.outcome
        if outcome == .succeeded {
            successes = successes.suffix(Self.jobsShownMax - 1) + [(id, Date.now.timeIntervalSince1970)]
            await removal.removeStaging(of: job.output)
        } else if ownUnits[id, default: 0] == 0 {
            await removal.discard(job.output)
        } else {
            abandoned[id] = job.output
        }
        logger.notice("job ended", metadata: [LogKeys.job: "\(id)", "outcome": "\(outcome.map { "\($0)" } ?? "?")"])
    }

    private func trimJournal() async {
        do {
            try await journal.trim(units: scheduler.settings.knownResultsMax, jobs: scheduler.settings.endedJobsMax)
        } catch {
            logger.warning("the journal could not be trimmed", metadata: [LogKeys.cause: "\(error)"])
        }
    }

    // MARK: - Jobs

    /// Accepts a checked job; returns once the job is durable, so that the answer to the client holds.
    ///
    /// - Returns: Whether the job was accepted. It is not when the coordinator is about to end.
    func accept(_ job: Job, header: JobHeader) async -> Bool {
        guard !isClosed, jobs[job.id] == nil else { return false }
        jobs[job.id] = job
        clock.begin(job.id)
        happen(.jobSubmitted(header, job.plan))
        guard await withCheckedContinuation({ acceptances[job.id] = $0 }) else { return false }
        logger.notice(
            "job accepted",
            metadata: [
                LogKeys.job: "\(job.id)", "units": "\(job.plan.units.count)", "spec": "\(header.specPath)",
            ])
        return true
    }

    /// The name of the next job; no record of the journal has it.
    func nextJobID() -> JobID {
        submissions += 1
        return JobID(rawValue: "job-\(submissions)")
    }

    /// The number of journal records between two progress reports.
    private static let recordsBetweenSigns = 2000

    /// Resumes the jobs of the journal; durable results are not computed again.
    ///
    /// Meanwhile readiness reports the progress.
    ///
    /// - Throws: `JobJournalError` when the journal cannot be read or written.
    func resume() async throws {
        submissions = await journal.lastJobNumber
        let records = try await journal.records()
        var outcomes: [JobID: JobOutcome] = [:]
        var ended: [JobID] = []
        for case .jobEnded(let job, let outcome, _) in records.lazy.map(\.record) {
            outcomes[job] = outcome
            ended.append(job)
        }
        var lost: [JournalRecord] = []
        var vanished: Set<JobID> = []
        for (position, (row, record)) in records.enumerated() {
            if position.isMultiple(of: Self.recordsBetweenSigns) {
                supervision.readiness.clear("reading the journal: \(position) of \(records.count) records")
                // Lets requests for metrics be answered meanwhile.
                await Task.yield()
            }
            switch record {
            case .jobAccepted(let header):
                submissions = max(submissions, Int(header.id.rawValue.drop { !$0.isNumber }) ?? 0)
                if outcomes[header.id] != nil {
                    scheduler.apply(record)
                } else if let failure = try await resume(header) {
                    // The job's end follows, so its plan is not needed.
                    scheduler.apply(record)
                    lost.append(.jobEnded(header.id, .failed(failure), finishedUnits: nil))
                    outcomes[header.id] = .failed(failure)
                    ended.append(header.id)
                }
            case .unitFinished(let unit, _, let result, _, _) where !isUsable(unit, result, recordedIn: row):
                vanished.insert(unit.job)
            default: scheduler.apply(record)
            }
        }
        for job in vanished { renewStaging(of: job, after: records.last?.row ?? 0) }
        try await journal.append(lost)
        lost.forEach { scheduler.apply($0) }
        await removeRemains(of: ended.suffix(Self.remainsMax), outcomes)
        // Nobody would go on with what they hold, and it would keep everybody else out.
        await removal.removeRemains(ofLost: journal.findings.compactMap(\.lostJob), of: owner, configuration.roots)
        for status in scheduler.runningStatuses {
            logger.notice(
                "job resumed",
                metadata: [
                    LogKeys.job: "\(status.id)", "finished_units": "\(status.finishedUnits)",
                    "units": "\(status.totalUnits)",
                ])
        }
        if jobs.isEmpty { await removal.clearStore() }
        settled.update(from: scheduler, hasEnded: true)
        let stored = store.digests.compactMap { digest in
            store.byteCount(of: digest).map { BlobReference(digest: digest, byteCount: UInt64($0)) }
        }
        happen(.restarted(stored: stored))
    }

    /// The number of last ended jobs that may have left files after a crash; an earlier start checked earlier jobs.
    private static let remainsMax = 20

    /// Removes the staged files of jobs whose end is durable and whose removal is not; it frees their outputs.
    private func removeRemains(of ended: ArraySlice<JobID>, _ outcomes: [JobID: JobOutcome]) async {
        for id in ended {
            guard let path = scheduler.header(of: id)?.output else { continue }
            let output = OutputDirectory(
                path: FilePath(path), job: id.rawValue, owner: owner, overwrites: false, roots: configuration.roots)
            await removal.removeRemains(of: output, hasSucceeded: outcomes[id] == .succeeded)
        }
    }

    /// Plans a running job again.
    ///
    /// - Returns: Why the job cannot go on, or `nil`.
    /// - Throws: `CancellationError` when the process must end. The job stays as it is.
    private func resume(_ header: JobHeader) async throws(CancellationError) -> UnitFailure? {
        let submission = Submission(
            specText: header.specText, specPath: header.specPath, overwrites: header.overwrites, output: header.output)
        do throws(JobRefusal) {
            let job = try await admissionDesk.admit(submission, as: header.id, isResumption: true)
            guard job.fingerprint == header.fingerprint else {
                return lostJob(header.id, "its input files, or the way in which jobs are planned, changed meanwhile")
            }
            try await admissionDesk.claimOutput(of: job)
            scheduler.apply(.jobAccepted(header), plan: job.plan)
            jobs[header.id] = job
            conduct.resumedJobs.insert(header.id)
            clock.begin(header.id)
            return nil
        } catch {
            guard !Task.isCancelled else { throw CancellationError() }
            return lostJob(header.id, "\(error)")
        }
    }
}
