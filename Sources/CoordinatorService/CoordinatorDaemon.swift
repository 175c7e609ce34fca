import BlobStore
import FileAccess
import JobJournal
public import Logging
import Messaging
import Scheduling
public import ServiceLifecycle
public import Supervision
import SystemPackage
import Telemetry
import WireProtocol
public import ZeroMQ

/// The coordinator daemon: opens its state, takes up its jobs, and serves workers and clients.
public struct CoordinatorDaemon: Service {
    private let configuration: CoordinatorConfiguration
    private let supervision: DaemonSupervision
    private let logger: Logger
    private let onReady: @Sendable (Endpoint) -> Void

    /// Prepares a coordinator.
    ///
    /// - Parameters:
    ///   - configuration: How it runs.
    ///   - supervision: Shows how it fares.
    ///   - logger: For its log lines.
    ///   - onReady: Called once it listens, with the port that the kernel chose.
    public init(
        configuration: CoordinatorConfiguration, supervision: DaemonSupervision, logger: Logger,
        onReady: @escaping @Sendable (Endpoint) -> Void
    ) {
        self.configuration = configuration
        self.supervision = supervision
        self.logger = logger
        self.onReady = onReady
    }

    /// Runs until the process is told to end.
    ///
    /// - Throws: `MessagingError` when it cannot listen, `JobJournalError` or `BlobStoreError` when its state cannot be
    ///   opened or no longer be written.
    public func run() async throws {
        try Directories.create(configuration.stateDirectory, setting: "--state-directory")
        let store = try BlobStore(opening: configuration.stateDirectory.appending("blobs"))
        let journal = try JobJournal(path: configuration.stateDirectory.appending("journal.sqlite").string)
        let logger = logger
        let endpoint = try await CoordinatorEndpoint.bind(
            configuration.endpoint, context: try Context(), keys: configuration.keys,
            claimPeriod: configuration.workerTimeout,
            onUnknownKey: { logger.warning("an unknown key was refused", metadata: ["key": "\($0)"]) },
            onFlood: { host, byteCount in
                logger.warning(
                    "a peer sent more than is held for it; its connection was ended",
                    metadata: ["host": "\(host)", "bytes": "\(byteCount)"])
            },
            onUnsendable: { peer, error in
                logger.error(
                    "a message was too large to be sent", metadata: ["peer": "\(peer)", LogKeys.cause: "\(error)"])
            })
        let coordinator = Coordinator(
            configuration: configuration, endpoint: endpoint, store: store, journal: journal,
            supervision: supervision, logger: logger)
        coordinator.show()
        supervision.readiness.clear("reading the journal")
        try await coordinator.resume()
        logger.notice("listening", metadata: [LogKeys.endpoint: "\(endpoint.endpoint)"])
        supervision.readiness.set()
        onReady(endpoint.endpoint)
        do {
            try await withGracefulShutdownHandler {
                try await serve(coordinator, endpoint, store)
            } onGracefulShutdown: {
                supervision.readiness.clear("stopping")
                // Task because the handler is synchronous: closing the endpoint ends the loops below.
                Task { await endpoint.close() }
            }
        } catch {
            await endpoint.close()
            throw error
        }
        try await journal.close()
    }

    private func serve(_ coordinator: Coordinator, _ endpoint: CoordinatorEndpoint, _ store: BlobStore) async throws {
        let transfers = TransferService(store: store, endpoint: endpoint) { await coordinator.handle($0, from: $1) }
        let build = configuration.build
        let actorPulse = ReplyPulse("the coordinator's state", limit: .seconds(60))
        let receptionPulse = LoopPulse("the reception of messages", limit: .seconds(120))
        supervision.health.watch(actorPulse)
        supervision.health.watch(receptionPulse)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await endpoint.guardConnections() }
            group.addTask { try await coordinator.handleEvents() }
            group.addTask { await coordinator.watchDeadlines(actorPulse) }
            group.addTask {
                for await entry in coordinator.transfers.entries {
                    await transfers.handle(entry.request, from: entry.peer)
                    coordinator.transfers.end(entry)
                }
            }
            group.addTask { await transfers.watchUploads() }
            for number in 0..<SchedulerSettings().coordinatorLanes {
                let work = CoordinatorWork(number: number, store: store, build: build)
                group.addTask {
                    for await task in coordinator.ownWork {
                        let isWanted = await coordinator.isStillWanted(task)
                        let events = isWanted ? await work.perform(task) : [CoordinatorTask.unwanted(task.lease)]
                        await coordinator.finishOwn(task, events)
                    }
                }
            }
            // Bound: a client that asks more while so many questions wait is not answered.
            // Submissions and outputs take files to be read and may take long: other questions do not wait behind them.
            var sinks: [QuestionKind: AsyncStream<Question>.Continuation] = [:]
            for kind in QuestionKind.allCases {
                let (questions, sink) = AsyncStream.makeStream(
                    of: Question.self, bufferingPolicy: .bufferingOldest(256))
                sinks[kind] = sink
                group.addTask {
                    for await question in questions {
                        await coordinator.answer(question.request, number: question.number, to: question.peer)
                    }
                }
            }
            group.addTask { [sinks] in await receive(coordinator, endpoint, receptionPulse, sinks) }
            do {
                // The first loop that ends is the reception, when the endpoint is closed, or one that failed.
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

    /// What a client asked.
    private struct Question: Sendable {
        let request: ClientRequest
        let number: UInt64
        let peer: RoutingIdentity
    }

    /// Questions that are answered one after the other.
    private enum QuestionKind: CaseIterable {
        /// What needs no file.
        case state
        case submission
        case output

        init(_ request: ClientRequest) {
            self =
                switch request {
                case .submit, .plan: .submission
                case .outputs, .outputRange: .output
                case .jobs, .status, .workers, .cancel, .drain: .state
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
                await coordinator.handle(message, payload: payload, from: peer)
            case .message(.request(let number, let request), _, let peer):
                sinks[QuestionKind(request)]?.yield(Question(request: request, number: number, peer: peer))
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
