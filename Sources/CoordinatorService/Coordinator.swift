import Admission
import BlobStore
import Foundation
import Identifiers
import JobJournal
import JobPlan
import Logging
import Messaging
import Publication
import PushedRuns
import Scheduling
import Supervision
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
    /// The runs that clients push.
    let runs: RunStore
    let pushDesk: PushDesk
    let rowStreamDesk: RowStreamDesk
    private let journal: JobJournal
    let logger: Logger
    let supervision: DaemonSupervision
    let metrics: CoordinatorMetrics
    private let start = ContinuousClock.now
    /// The time since the start in which the process did not run.
    private var lostTime = Duration.zero

    private(set) var scheduler: Scheduler
    /// The jobs as of the last durable facts, so that what clients are told survives a crash.
    private(set) var settled = SettledJobs()
    var jobs: [JobID: Job] = [:]
    /// The files of running jobs, which workers write too.
    var staged: [JobID: StagedOutputs] = [:]
    var conversations = WorkerConversations()
    private var pending = PendingEvents()
    private var deadline: SchedulerInstant?
    private var submissions = 0
    private var acceptances: [JobID: CheckedContinuation<Bool, Never>] = [:]
    var history: RecentHistory
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
    var waitingRanges = WaitingRanges()
    private var waitingOrders = WaitingOrders()
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
    /// The files that clients push.
    nonisolated let pushes = PeerQueue<PushDesk.Request>(requestsPerPeer: Int(WireLimits.chunkCredit) + 2)
    /// What clients and workers say of rows.
    nonisolated let rowStreams = PeerQueue<RowStreamDesk.Request>(requestsPerPeer: RowStreamDesk.requestsPerPeer)

    init(
        configuration: CoordinatorConfiguration, endpoint: CoordinatorEndpoint, store: BlobStore, runs: RunStore,
        journal: JobJournal, owner: ClaimOwner, supervision: DaemonSupervision, logger: Logger,
        book: LogBook = LogBook()
    ) {
        self.configuration = configuration
        self.owner = owner
        self.endpoint = endpoint
        self.store = store
        self.runs = runs
        self.journal = journal
        self.logger = logger
        history = RecentHistory(book: book)
        self.supervision = supervision
        metrics = CoordinatorMetrics(factory: supervision.metrics)
        pushDesk = PushDesk(store: runs, endpoint: endpoint, queue: pushes, metrics: metrics, logger: logger)
        rowStreamDesk = RowStreamDesk(
            store: runs, pushDesk: pushDesk, endpoint: endpoint, queue: rowStreams, metrics: metrics, logger: logger)
        admissionDesk = AdmissionDesk(
            roots: configuration.roots, owner: owner, runs: runs, keepsBlobs: configuration.isLasting)
        outputDesk = OutputDesk(roots: configuration.roots)
        var settings = SchedulerSettings()
        settings.workerTimeout = configuration.workerTimeout
        settings.collectsForWorkers = configuration.isLasting
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
        // Thousands of idle workers are heard each second. Their signs of life wait for the next event, or for the
        // clock, which takes them before it looks who was silent.
        if case .workerHeard = event { return }
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
            if !pending.isEmpty { wakeSink.yield() }
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
        pushes.finish()
        rowStreams.finish()
    }

    private func handlePending() async throws {
        var batch = EffectBatch()
        for event in pending.take() { batch.append(scheduler.handle(event, at: now)) }
        deadline = batch.deadline
        // The scheduler does not change before all effects are performed. So `settled` gets exactly the committed
        // state.
        let records = batch.records
        if !records.isEmpty { try await commitWhenThereIsRoom(records) }
        for effect in batch.inOrder { await perform(effect) }
        await sendOrders()
        if batch.endsJobs { await trimJournal() }
    }

    /// Makes facts durable, and waits while the disk is full; no effect is performed before its facts are recorded.
    private func commitWhenThereIsRoom(_ records: [JournalRecord]) async throws {
        while true {
            do {
                try await record(records)
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

    /// Records facts, with untyped errors: a typed error in the loop above crashes Swift 6.3's compiler.
    private func record(_ records: [JournalRecord]) async throws { try await journal.append(records) }

    // MARK: - Effects out

    private func perform(_ effect: SchedulerEffect) async {
        if !effect.canPassOrders { await sendOrders() }
        switch effect {
        case .tell(let notice):
            metrics.note(notice)
            log(notice)
        case .forget(let worker): forget(worker)
        case .send(let addressed): await send(addressed.order, to: addressed.worker)
        case .compute(let lease): begin(lease)
        case .tellUnavailable(let blob): await tellUnavailable(blob)
        case .letGo(let job): await letGo(of: job)
        case .remove(let blobs): await removal.remove(blobs)
        case .clearStore:
            // Workers keep their blobs for later jobs. A job that was accepted meanwhile may have collected a blob
            // already; then the end of the next job clears the store.
            // The blobs of a single run are removed with its directory.
            if jobs.isEmpty, configuration.isLasting { await removal.clearStore() }
        case .settle(let hasEnded):
            settled.update(from: scheduler, hasEnded: hasEnded)
            logProgress()
        case .accept(let job): acceptances.removeValue(forKey: job)?.resume(returning: true)
        }
    }

    private func send(_ order: WorkerOrder<LeasedUnit>, to worker: WorkerID) async {
        switch order {
        case .lease(let leased): await send(leased, to: worker)
        case .revoke(let leased): await tell(worker, .revoke(leased))
        case .collect(let blob):
            conversations.given.ask(for: blob, of: worker)
            await tell(worker, .collect(blob))
        case .discard(let blobs): await tell(worker, .discard(blobs))
        case .drain: await tell(worker, .drain)
        case .dismiss: await tell(worker, .dismiss)
        }
    }

    /// Sends the orders that wait to be joined.
    private func sendOrders() async {
        for (peer, orders) in waitingOrders.take() { await send(orders, to: peer) }
    }

    /// Sends orders in one message, or each alone if that would be too large.
    private func send(_ orders: [WorkerOrder<UnitLease>], to peer: RoutingIdentity) async {
        let messages = orders.map(CoordinatorMessage.order)
        if messages.count > 1, await endpoint.send(.coordinatorSequence(messages), to: peer) { return }
        for order in orders { await send(order, to: peer) }
    }

    /// Sends an order alone; the unit of a lease that no message can hold fails.
    private func send(_ order: WorkerOrder<UnitLease>, to peer: RoutingIdentity) async {
        guard await !endpoint.send(.coordinator(.order(order)), to: peer) else { return }
        guard case .lease(let lease) = order, let worker = conversations.worker(at: peer) else { return }
        let failure = UnitFailure(
            kind: .badInput,
            message: "the unit reads too many pieces of files to be handed out in one message. Write its input "
                + "into fewer, larger files.")
        happen(.unitFailed(lease.leased, by: .worker(worker), failure))
    }

    /// Sends a lease with all that the worker needs.
    private func send(_ leased: LeasedUnit, to worker: WorkerID) async {
        history.clock.noteWork(of: leased.unit.job, scheduler.work(of: leased.unit.job))
        // If the job has ended meanwhile, nothing is sent; the order that revokes the unit follows.
        guard scheduler.plan(of: leased.unit.job) != nil, let job = jobs[leased.unit.job],
            let peer = conversations[worker]?.peer
        else { return }
        let resolution = LeaseResolution(
            job: job, staged: staged[job.id],
            result: { [scheduler] in scheduler.result(of: UnitReference(job: leased.unit.job, unit: $0)) },
            isBrief: scheduler.isBrief(leased, on: worker))
        guard let lease = resolution.lease(leased) else {
            let failure = UnitFailure(kind: .inputMissing, message: "a result that the unit depends on is missing")
            happen(.unitFailed(leased, by: .worker(worker), failure))
            return
        }
        conversations.given.give(leased, to: worker)
        guard !lease.sharesMessage else {
            await sendLater(.lease(lease), to: peer)
            return
        }
        await sendOrders()
        await send(.lease(lease), to: peer)
    }

    private func tell(_ worker: WorkerID, _ order: WorkerOrder<UnitLease>) async {
        guard let peer = conversations[worker]?.peer else { return }
        switch order {
        case .revoke, .collect: await sendLater(order, to: peer)
        case .lease, .discard, .drain, .dismiss:
            await sendOrders()
            await endpoint.send(.coordinator(.order(order)), to: peer)
        }
    }

    /// Joins a small order with others.
    private func sendLater(_ order: WorkerOrder<UnitLease>, to peer: RoutingIdentity) async {
        if let full = waitingOrders.add(order, to: peer) { await send(full, to: peer) }
    }

    private func begin(_ lease: LeasedUnit) {
        history.clock.noteWork(of: lease.unit.job, scheduler.work(of: lease.unit.job))
        guard let job = jobs[lease.unit.job], let staged = staged[job.id] else {
            // The scheduler counts the lane as taken until it gets an event.
            happen(CoordinatorTask.unwanted(lease))
            return
        }
        ownUnits[lease.unit.job, default: 0] += 1
        let state = scheduler
        ownWorkSink.yield(
            CoordinatorTask(
                lease: lease, unit: job.plan.units[lease.unit.unit.position], job: job, staged: staged,
                results: { state.result(of: UnitReference(job: lease.unit.job, unit: $0)) },
                executions: { state.execution(of: UnitReference(job: lease.unit.job, unit: $0)) },
                regimes: { state.regime(of: UnitReference(job: lease.unit.job, unit: $0)) }))
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
    private func letGo(of id: JobID) async {
        staged[id] = nil
        guard let job = jobs.removeValue(forKey: id) else { return }
        conversations.resumedJobs.remove(id)
        history.clock.end(id)
        runs.release(id, at: Date.now.timeIntervalSince1970)
        let outcome = scheduler.status(of: id)?.outcome
        if outcome == .succeeded {
            history.noteSuccess(of: id, at: Date.now.timeIntervalSince1970)
            await removal.removeStaging(of: job.output)
        } else if ownUnits[id, default: 0] == 0 {
            await removal.discard(job.output)
        } else {
            abandoned[id] = job.output
        }
        logEnd(of: id, outcome)
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
    func accept(_ job: Job, _ outputs: StagedOutputs, header: JobHeader) async -> Bool {
        guard !isClosed, jobs[job.id] == nil else { return false }
        jobs[job.id] = job
        staged[job.id] = outputs
        history.clock.begin(job.id)
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

    /// Resumes the jobs of the journal.
    ///
    /// - Throws: The errors of `JournalRecovery.run`.
    func resume() async throws {
        let recovery = JournalRecovery(
            journal: journal, desk: admissionDesk, owner: owner, configuration: configuration,
            readiness: supervision.readiness, removal: removal, logger: logger)
        let state = try await recovery.run(scheduler)
        (scheduler, jobs, staged, submissions) = (
            state.scheduler, state.jobs, state.staged, state.lastJobNumber
        )
        conversations.resumedJobs = Set(jobs.keys)
        runs.releaseAll(except: Set(jobs.keys), at: Date.now.timeIntervalSince1970)
        for job in jobs.keys { history.clock.begin(job, isResumed: true) }
        if jobs.isEmpty { await removal.clearStore() }
        settled.update(from: scheduler, hasEnded: true)
        let stored = store.digests.compactMap { digest in
            store.byteCount(of: digest).map { BlobReference(digest: digest, byteCount: UInt64($0)) }
        }
        happen(.restarted(stored: stored))
    }
}
