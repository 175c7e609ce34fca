import BlobStore
import FileAccess
import JobJournal
public import Logging
import Messaging
import Publication
import PushedRuns
import Safetensors
import Scheduling
public import ServiceLifecycle
public import Supervision
import SystemPackage
public import Telemetry
import WireProtocol
public import ZeroMQ

/// The coordinator daemon: opens its state, resumes its jobs, and serves workers and clients.
public struct CoordinatorDaemon: Service {
    private let configuration: CoordinatorConfiguration
    private let supervision: DaemonSupervision
    private let logger: Logger
    private let book: LogBook
    private let onReady: @Sendable (Endpoint) -> Void

    /// Prepares a coordinator.
    ///
    /// - Parameters:
    ///   - configuration: The settings.
    ///   - supervision: Shows health and progress.
    ///   - logger: Receives the log lines.
    ///   - book: The store of these lines, for clients and the status page.
    ///   - onReady: Called once the daemon listens, with the port that the kernel chose.
    public init(
        configuration: CoordinatorConfiguration, supervision: DaemonSupervision, logger: Logger,
        book: LogBook = LogBook(), onReady: @escaping @Sendable (Endpoint) -> Void
    ) {
        self.configuration = configuration
        self.supervision = supervision
        self.logger = logger
        self.book = book
        self.onReady = onReady
    }

    /// Runs until the process must end.
    ///
    /// - Throws: `MessagingError` when it cannot listen, `JobJournalError` or `BlobStoreError` when its state cannot be
    ///   opened or written.
    public func run() async throws {
        try prepareStateDirectory()
        let isLasting = configuration.isLasting
        let identity = try CoordinatorIdentity.open(in: configuration.stateDirectory, isDurable: isLasting)
        let store = try BlobStore(
            opening: configuration.stateDirectory.appending("blobs"), isDurable: isLasting)
        let journal = try JobJournal(
            path: configuration.stateDirectory.appending("journal.sqlite").string,
            isDurable: isLasting)
        await tell(of: journal, store)
        let runs = try RunStore(opening: configuration.runDirectory, quota: configuration.runQuota)
        let logger = logger
        let endpoint = try await CoordinatorEndpoint.bind(
            configuration.endpoint, context: try Context(), keys: configuration.keys,
            claimPeriod: configuration.workerTimeout,
            onUnknownKey: { logger.warning("an unknown key was refused", metadata: ["key": "\($0)"]) },
            onFlood: { host, byteCount in
                logger.warning(
                    "a peer sent more bytes than its limit; its connection was ended",
                    metadata: ["host": "\(host)", "bytes": "\(byteCount)"])
            },
            onUnsendable: { peer, error in
                logger.error(
                    "a message was too large to be sent", metadata: ["peer": "\(peer)", LogKeys.cause: "\(error)"])
            },
            onUnheard: { report in
                let remedy = report.ends[.exhausted] == nil ? "" : ". \(DescriptorLimit.remedy)"
                logger.warning(
                    "connections ended before they sent a message, since the last such line",
                    metadata: ["count": "\(report.count)", LogKeys.cause: "\(report)\(remedy)"])
            },
            onRenewal: { byteCount in
                logger.warning(
                    "all connections are made anew, to drop what connections with the names of others had sent",
                    metadata: ["bytes": "\(byteCount)"])
            })
        let coordinator = Coordinator(
            configuration: configuration, endpoint: endpoint, store: store, runs: runs, journal: journal,
            owner: ClaimOwner(
                coordinator: identity,
                stateDirectory: configuration.isLasting ? configuration.stateDirectory.string : ""),
            supervision: supervision, logger: logger, book: book)
        coordinator.show()
        supervision.readiness.clear("reading the journal")
        do {
            try await cancelWhenGracefulShutdown { try await coordinator.resume() }
        } catch is CancellationError {
            // The process ends before the daemon was ready. Nothing was lost.
            await endpoint.close()
            return
        }
        let durability = BlobDurability(logger: logger) { try store.makeDurable() }
        logger.notice("listening", metadata: [LogKeys.endpoint: "\(endpoint.endpoint)"])
        supervision.readiness.set()
        onReady(endpoint.endpoint)
        do {
            try await withGracefulShutdownHandler {
                try await serve(coordinator, endpoint, store, durability)
            } onGracefulShutdown: {
                supervision.readiness.clear("stopping")
                // Task because the handler is synchronous. Closing the endpoint ends the loops below.
                Task { await endpoint.close() }
            }
        } catch {
            await endpoint.close()
            throw error
        }
        if configuration.isLasting { await durability.makeDurable() }
        try await journal.close()
    }

    /// Makes the state directory, and proves that it can be written.
    ///
    /// A directory that was used before may be full: the jobs in it wait for room.
    private func prepareStateDirectory() throws(FileAccessError) {
        let (directory, setting) = (configuration.stateDirectory, "--state-directory")
        try Directories.create(directory, setting: setting)
        do throws(FileAccessError) { try Directories.requireWriting(in: directory, setting: setting) } catch {
            guard error.code.isLackOfRoom, CoordinatorIdentity.read(in: directory) != nil else { throw error }
        }
    }

    /// Reports faults of the state directory before it is used.
    private func tell(of journal: JobJournal, _ store: BlobStore) async {
        var causes = journal.findings.map(\.description)
        if await journal.isNew, !store.digests.isEmpty {
            causes.append(
                "\(configuration.stateDirectory): there are \(store.bytesInUse) bytes of blobs, but no journal. The "
                    + "journal was removed, and its jobs are lost. Submit them again.")
        }
        for cause in causes {
            logger.error("the journal was damaged or replaced", metadata: [LogKeys.cause: "\(cause)"])
        }
    }

    private func serve(
        _ coordinator: Coordinator, _ endpoint: CoordinatorEndpoint, _ store: BlobStore, _ durability: BlobDurability
    ) async throws {
        let transfers = TransferService(store: store, endpoint: endpoint) { await coordinator.handle($0, from: $1) }
        let build = configuration.build
        let actorPulse = ReplyPulse("the coordinator's state", limit: .seconds(60))
        let receptionPulse = LoopPulse("the reception of messages", limit: .seconds(120))
        supervision.health.watch(actorPulse)
        supervision.health.watch(receptionPulse)
        supervision.health.watch(coordinator.admissionDesk.pulse)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await endpoint.guardConnections() }
            group.addTask { try await coordinator.handleEvents() }
            group.addTask { await coordinator.watchDeadlines(actorPulse) }
            group.addTask { await transfers.serve(coordinator.transfers) }
            group.addTask { await transfers.watchUploads() }
            group.addTask { [expiry = configuration.runExpiry] in await coordinator.servePushes(expiry: expiry) }
            if configuration.isLasting { group.addTask { await durability.run() } }
            group.addTask { for await loss in store.losses { await coordinator.note(loss) } }
            group.addTask {
                for await peer in endpoint.unreachablePeers {
                    await coordinator.endChecks(of: peer)
                    coordinator.tellGone(peer)
                }
            }
            for number in 0..<SchedulerSettings().coordinatorLanes {
                let work = CoordinatorWork(number: number, store: store, build: build, logger: logger)
                group.addTask {
                    for await task in coordinator.ownWork {
                        let isWanted = await coordinator.isStillWanted(task)
                        let events = isWanted ? await work.perform(task) : [CoordinatorTask.unwanted(task.lease)]
                        await coordinator.finishOwn(task, events)
                    }
                }
            }
            // Bound: when too many questions wait, the client is told so. Submissions and outputs read files and may
            // take long, so other questions do not wait for them. Submissions do not wait for each other here, but at
            // the admission desk.
            var sinks: [QuestionKind: AsyncStream<Question>.Continuation] = [:]
            for kind in QuestionKind.allCases {
                let (questions, sink) = AsyncStream.makeStream(
                    of: Question.self, bufferingPolicy: .bufferingOldest(256))
                sinks[kind] = sink
                group.addTask {
                    guard kind == .submission else {
                        for await question in questions { await coordinator.answer(question) }
                        return
                    }
                    await withDiscardingTaskGroup { answers in
                        for await question in questions { answers.addTask { await coordinator.answer(question) } }
                        answers.cancelAll()
                    }
                }
            }
            group.addTask { [sinks] in await receive(coordinator, endpoint, receptionPulse, sinks) }
            do {
                // The first loop to end is the reception, when the endpoint is closed, or one that failed.
                try await group.next()
            } catch {
                group.cancelAll()
                await coordinator.close()
                throw error
            }
            await coordinator.close()
            group.cancelAll()
        }
    }

    /// A client's question.
    fileprivate struct Question: Sendable {
        let request: ClientRequest
        let number: UInt64
        let peer: RoutingIdentity
    }

    /// Kinds of questions; those of a kind are answered one after the other.
    private enum QuestionKind: CaseIterable {
        /// Questions that need no file.
        case state
        case submission
        case output

        init(_ request: ClientRequest) {
            self =
                switch request {
                case .submit, .plan: .submission
                case .outputs, .outputRange, .removeRun: .output
                case .jobs, .status, .workers, .cancel, .drain, .log, .runs, .pushOffer, .pushChunk, .pushRows,
                    .pushCommit:
                    .state
                }
        }
    }

    private func receive(
        _ coordinator: Coordinator, _ endpoint: CoordinatorEndpoint, _ pulse: LoopPulse,
        _ sinks: [QuestionKind: AsyncStream<Question>.Continuation]
    ) async {
        defer { sinks.values.forEach { $0.finish() } }
        while let arrival = await endpoint.next() {
            pulse.beginTurn()
            defer { pulse.endTurn() }
            switch arrival {
            case .message(.worker(let message), let payload, let peer):
                await coordinator.receive(message, payload: payload, from: peer)
            case .message(.workerSequence(let words), _, let peer): await coordinator.handle(words, from: peer)
            case .message(.request(let number, let request), let payload, let peer):
                guard !request.isPush else {
                    await coordinator.receive(request, payload, number: number, from: peer)
                    continue
                }
                let question = Question(request: request, number: number, peer: peer)
                guard case .dropped? = sinks[QuestionKind(request)]?.yield(question) else { continue }
                let failure = RequestFailure(
                    kind: .world, at: "the coordinator", "too many questions wait to be answered; ask again later.")
                await endpoint.send(.reply(number, .failure(failure)), to: peer)
            case .message: break
            case .refused(let peer, let refusal):
                await coordinator.dismiss(peer)
                guard refusal.isNews else { continue }
                logger.warning(
                    "a message was refused",
                    metadata: ["peer": "\(endpoint.name(of: peer))", LogKeys.cause: "\(refusal)"])
            }
        }
    }
}

extension Coordinator {
    /// Takes files and rows of clients, until cancelled.
    nonisolated fileprivate func servePushes(expiry: Duration?) async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.pushDesk.run() }
            group.addTask { await self.pushDesk.watch(expiry: expiry) }
            group.addTask { await self.rowStreamDesk.run() }
            group.addTask { await self.rowStreamDesk.watch() }
        }
    }

    /// Answers a question.
    fileprivate func answer(_ question: CoordinatorDaemon.Question) async {
        await answer(question.request, number: question.number, to: question.peer)
    }
}

extension ClientRequest {
    /// Whether the request belongs to a push, whose bytes do not pass through the coordinator's actor.
    fileprivate var isPush: Bool {
        switch self {
        case .pushOffer, .pushChunk, .pushRows, .pushCommit: true
        default: false
        }
    }
}
