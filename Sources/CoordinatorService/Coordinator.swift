import BlobStore
import Foundation
import Identifiers
import JobJournal
import JobPlan
import Logging
import Messaging
import Scheduling
import Supervision
import Telemetry
import WireProtocol
import ZeroMQ

/// The coordinator's state and its only writer: takes in what happens, asks the scheduler, and performs the answer.
///
/// Events are gathered while the journal commits the ones before them, so that many results share one commit.
/// Source: DESIGN section 5 and 6.
actor Coordinator {
    let configuration: CoordinatorConfiguration
    let endpoint: CoordinatorEndpoint
    let store: BlobStore
    private let journal: JobJournal
    private let durableRecord: DurableRecord
    let logger: Logger
    let supervision: DaemonSupervision
    private let metrics: CoordinatorMetrics
    private let start = ContinuousClock.now
    /// Time since then in which the process did not run.
    private var lostTime = Duration.zero

    private(set) var scheduler: Scheduler
    /// The scheduler as it was when its facts were last durable: what clients are told outlives a crash.
    private(set) var settled: Scheduler
    var jobs: [JobID: Job] = [:]
    var workers: [WorkerID: ConnectedWorker] = [:]
    private var pendingEvents: [SchedulerEvent] = []
    private var deadline: SchedulerInstant?
    private var submissions = 0
    private var acceptances: [JobID: CheckedContinuation<Bool, Never>] = [:]
    /// When jobs succeeded, in seconds since 1970.
    ///
    /// Bound: the latest ``jobsShownMax``.
    private(set) var successes: [(job: JobID, at: Double)] = []
    private var isClosed = false
    /// Units that the own lanes have in hand, by job: a job's files are removed only when none writes them any more.
    private var ownUnits: [JobID: Int] = [:]
    private var abandoned: [JobID: OutputDirectory] = [:]
    let admissionDesk: AdmissionDesk
    let outputDesk: OutputDesk
    /// Requests of workers for blobs that are being collected from other workers, by blob.
    ///
    /// Bound: each worker's limit of transfers.
    var waitingRanges: [BlobDigest: [(range: RangeRequest, peer: RoutingIdentity)]] = [:]
    var earlyResults = EarlyResults()
    /// Why the journal cannot be written at the moment: everything waits for room on the disk.
    private(set) var journalPause: String?

    private let wakeups: AsyncStream<Void>
    private let wakeSink: AsyncStream<Void>.Continuation
    /// Units for the coordinator's own lanes.
    ///
    /// Bound: ``SchedulerSettings/coordinatorLanes``.
    nonisolated let ownWork: AsyncStream<CoordinatorTask>
    private let ownWorkSink: AsyncStream<CoordinatorTask>.Continuation
    /// What concerns transfers.
    nonisolated let transfers = TransferQueue()

    /// A worker that greeted.
    struct ConnectedWorker {
        let identity: RoutingIdentity
        let hello: WorkerHello
        var finishedUnits = 0
        /// Blobs that it told of, without those that it took back.
        var toldBlobs = 0
        var lastSign = ContinuousClock.now - .seconds(1)
    }

    init(
        configuration: CoordinatorConfiguration, endpoint: CoordinatorEndpoint, store: BlobStore, journal: JobJournal,
        supervision: DaemonSupervision, logger: Logger
    ) {
        self.configuration = configuration
        self.endpoint = endpoint
        self.store = store
        self.journal = journal
        durableRecord = DurableRecord(store: store, journal: journal)
        self.logger = logger
        self.supervision = supervision
        metrics = CoordinatorMetrics(factory: supervision.metrics)
        admissionDesk = AdmissionDesk(roots: configuration.roots)
        outputDesk = OutputDesk(roots: configuration.roots)
        var settings = SchedulerSettings()
        settings.workerTimeout = configuration.workerTimeout
        scheduler = Scheduler(settings: settings)
        settled = scheduler
        (wakeups, wakeSink) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        (ownWork, ownWorkSink) = AsyncStream.makeStream(of: CoordinatorTask.self)
    }

    private var now: SchedulerInstant { SchedulerInstant(sinceStart: ContinuousClock.now - start - lostTime) }

    // MARK: - Events in

    /// Queues an event for the scheduler.
    func happen(_ event: SchedulerEvent) {
        metrics.note(event, stage: stage(of: event), share: sampleShare(of: event))
        pendingEvents.append(event)
        wakeSink.yield()
    }

    /// Whether a worker has greeted, and the scheduler does not know it yet.
    func isJoining(_ worker: WorkerID) -> Bool {
        pendingEvents.contains { if case .workerJoined(worker, _) = $0 { true } else { false } }
    }

    /// Handles events as they come, until cancelled.
    ///
    /// - Throws: `JobJournalError` when facts cannot be made durable: nothing may be acted on then.
    func handleEvents() async throws {
        for await _ in wakeups {
            while !pendingEvents.isEmpty { try await handlePending() }
        }
    }

    /// Lets the scheduler see that time passes, until cancelled.
    ///
    /// Time in which this process did not run, since it was stopped or the machine suspended, is none of the workers'
    /// silence: nobody could be heard.
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
            if let deadline, deadline <= now { happen(.deadlineReached) }
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
        let events = pendingEvents
        pendingEvents.removeAll()
        var all: [SchedulerEffects] = []
        for event in events { all.append(scheduler.handle(event, at: now)) }
        deadline = all.last?.deadline
        let records = all.flatMap(\.records)
        // Nobody else asks the scheduler meanwhile to change, so what is settled below is what was committed.
        if !records.isEmpty { try await commitWhenThereIsRoom(records) }
        settled = scheduler
        for case .jobAccepted(let header) in records {
            acceptances.removeValue(forKey: header.id)?.resume(returning: true)
        }
        for effects in all { await perform(effects) }
    }

    /// Makes facts durable; while the disk is full, waits: nothing is acted on that is not recorded.
    private func commitWhenThereIsRoom(_ records: [JournalRecord]) async throws {
        while !isClosed {
            do {
                try await durableRecord.commit(records)
                if journalPause != nil { logger.notice("the journal is written again; work goes on") }
                journalPause = nil
                return
            } catch  where DiskSpace.isExhausted(error) {
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
        for job in effects.endedJobs { end(job) }
        if effects.clearsStore { clearStore() }
    }

    /// Blobs at the coordinator belong to running jobs; workers keep theirs for later ones.
    private func clearStore() {
        // A job that was accepted meanwhile may have collected something already; then the next end clears.
        guard jobs.isEmpty else { return }
        do {
            _ = try store.removeAll(except: [])
        } catch {
            logger.warning("blobs could not be removed", metadata: [LogKeys.cause: "\(error)"])
        }
    }

    private func send(_ order: WorkerOrder) async {
        switch order {
        case .lease(let worker, let leased):
            guard let peer = workers[worker]?.identity, let job = jobs[leased.unit.job] else { return }
            let resolution = LeaseResolution(job: job) { [scheduler] in
                scheduler.result(of: UnitReference(job: leased.unit.job, unit: $0))
            }
            guard let lease = resolution.lease(leased) else {
                let failure = UnitFailure(kind: .inputMissing, message: "a result that the unit depends on is missing")
                happen(.unitFailed(leased.unit, leased.attempt, by: .worker(worker), failure))
                return
            }
            await endpoint.send(.coordinator(.lease(lease)), to: peer)
        case .revoke(let worker, let leased):
            guard let peer = workers[worker]?.identity else { return }
            await endpoint.send(.coordinator(.revoke(LeasedUnitName(leased.unit, leased.attempt))), to: peer)
        case .collect(let worker, let blob): await tell(worker, .collect(blob))
        case .drain(let worker): await tell(worker, .drain)
        case .dismiss(let worker): await tell(worker, .dismiss)
        }
    }

    private func tell(_ worker: WorkerID, _ message: CoordinatorMessage) async {
        if let peer = workers[worker]?.identity { await endpoint.send(.coordinator(message), to: peer) }
    }

    private func begin(_ lease: LeasedUnit) {
        guard let job = jobs[lease.unit.job] else {
            // The scheduler counts the lane as taken until it is told.
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

    /// Whether an own unit's job still runs when its turn comes.
    func isStillWanted(_ task: CoordinatorTask) -> Bool {
        jobs[task.job.id] != nil
    }

    /// Takes in what became of an own unit, so that its lane is free; with the last one of a job that failed, its files
    /// go.
    func finishOwn(_ task: CoordinatorTask, _ events: [SchedulerEvent]) {
        ownUnits[task.job.id, default: 1] -= 1
        if ownUnits[task.job.id] == 0 {
            ownUnits[task.job.id] = nil
            abandoned.removeValue(forKey: task.job.id)?.discard()
        }
        events.forEach(happen)
    }

    private func end(_ id: JobID) {
        guard let job = jobs.removeValue(forKey: id) else { return }
        let outcome = scheduler.status(of: id)?.outcome
        if outcome == .succeeded {
            successes = successes.suffix(Self.jobsShownMax - 1) + [(id, Date.now.timeIntervalSince1970)]
        } else {
            if ownUnits[id, default: 0] == 0 { job.output.discard() } else { abandoned[id] = job.output }
        }
        logger.notice("job ended", metadata: [LogKeys.job: "\(id)", "outcome": "\(outcome.map { "\($0)" } ?? "?")"])
    }

    // MARK: - Jobs

    /// Takes in a job that was admitted, and returns once it is durable: what is answered then holds.
    ///
    /// - Returns: Whether it was; not when the coordinator is about to end.
    func accept(_ job: Job, header: JobHeader) async -> Bool {
        guard !isClosed, jobs[job.id] == nil else { return false }
        jobs[job.id] = job
        happen(.jobSubmitted(header, job.plan))
        guard await withCheckedContinuation({ acceptances[job.id] = $0 }) else { return false }
        logger.notice(
            "job accepted",
            metadata: [
                LogKeys.job: "\(job.id)", "units": "\(job.plan.units.count)", "spec": "\(header.specPath)",
            ])
        return true
    }

    /// The name of the next job: one that no record of the journal bears.
    func nextJobID() -> JobID {
        submissions += 1
        return JobID(rawValue: "job-\(submissions)")
    }

    /// Takes up the jobs of the journal: results that are durable are not computed again.
    ///
    /// - Throws: `JobJournalError` when the journal cannot be read or written.
    func resume() async throws {
        let records = try await journal.records()
        var ended: Set<JobID> = []
        for case .jobEnded(let job, _) in records { ended.insert(job) }
        var lost: [JournalRecord] = []
        var vanished: Set<JobID> = []
        for (position, record) in records.enumerated() {
            switch record {
            case .jobAccepted(let header):
                submissions = max(submissions, Int(header.id.rawValue.drop { !$0.isNumber }) ?? 0)
                if let failure = resume(header, isEnded: ended.contains(header.id)) {
                    lost.append(.jobEnded(header.id, .failed(failure)))
                }
            case .unitFinished(let unit, _, _, _, _) where !isUsable(unit, recordedAt: position):
                vanished.insert(unit.job)
            default: scheduler.apply(record)
            }
        }
        for job in vanished { renewStaging(of: job, after: records.count) }
        try await journal.append(lost)
        lost.forEach { scheduler.apply($0) }
        let running = scheduler.jobStatuses.filter { $0.outcome == nil }
        for status in running {
            logger.notice(
                "job resumed",
                metadata: [
                    LogKeys.job: "\(status.id)", "finished_units": "\(status.finishedUnits)",
                    "units": "\(status.totalUnits)",
                ])
        }
        if running.isEmpty { _ = try store.removeAll(except: []) }
        settled = scheduler
        let stored = store.digests.compactMap { digest in
            store.byteCount(of: digest).map { BlobReference(digest: digest, byteCount: UInt64($0)) }
        }
        happen(.restarted(stored: stored))
    }

    /// Makes a job's plan anew; of one that has ended only the status is kept, so that no file stays open for it.
    ///
    /// - Returns: Why a job that should go on cannot.
    private func resume(_ header: JobHeader, isEnded: Bool) -> UnitFailure? {
        let submission = Submission(
            specText: header.specText, specPath: header.specPath, overwrites: header.overwrites, output: header.output)
        do {
            let job = try JobAdmission.admit(submission, as: header.id, roots: configuration.roots, isResumption: true)
            scheduler.apply(.jobAccepted(header), plan: job.plan)
            if isEnded { return nil }
            if job.fingerprint == header.fingerprint {
                jobs[header.id] = job
                return nil
            }
            return lostJob(header.id, "its input files, or the way in which jobs are planned, changed meanwhile")
        } catch {
            return isEnded ? nil : lostJob(header.id, "\(error)")
        }
    }

    private func lostJob(_ job: JobID, _ reason: String) -> UnitFailure {
        logger.error(
            "a job of the journal cannot go on", metadata: [LogKeys.job: "\(job)", LogKeys.cause: "\(reason)"])
        return UnitFailure(
            kind: .badInput, message: "the job cannot go on after a restart: \(reason). Submit it again.")
    }

    /// Whether a journalled result can still be used.
    ///
    /// Blobs may be anywhere, and are looked for when they are needed; files must be in the staging directory, and the
    /// record must speak of this one.
    private func isUsable(_ unit: UnitReference, recordedAt position: Int) -> Bool {
        guard let job = jobs[unit.job], job.plan.units.indices.contains(unit.unit.position) else { return true }
        switch job.plan.units[unit.unit.position].operation {
        case .worker, .coordinator(.digestInputs): return true
        case .coordinator: return job.output.firstUsableRecord.map { position >= $0 } ?? false
        }
    }

    /// Files are gone that the journal speaks of: so that it is not believed after another restart either.
    private func renewStaging(of id: JobID, after recordCount: Int) {
        guard let output = jobs[id]?.output, output.firstUsableRecord == nil else { return }
        do {
            try output.renew(after: recordCount)
        } catch {
            logger.error(
                "the staging directory cannot be made", metadata: [LogKeys.job: "\(id)", LogKeys.cause: "\(error)"])
        }
    }
}
