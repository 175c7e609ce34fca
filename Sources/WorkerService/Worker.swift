import BlobStore
import Identifiers
import LinearAlgebra
public import Logging
import Messaging
public import ServiceLifecycle
public import Supervision
import Telemetry
import UnitOperations
import WireProtocol
import ZeroMQ

/// A worker daemon: greets a coordinator, computes the units that it is given, keeps their blobs, and sends those that
/// the coordinator collects.
public struct Worker: Service {
    /// The progress of the current units.
    public let progress = ProgressBoard()

    let supervision: DaemonSupervision
    let configuration: WorkerConfiguration
    let logger: Logger
    private let metrics: WorkerMetrics
    private let farewell = Farewell()

    /// Prepares a worker.
    ///
    /// - Parameters:
    ///   - configuration: The settings.
    ///   - supervision: Shows health and progress.
    ///   - logger: Receives the log lines.
    public init(configuration: WorkerConfiguration, supervision: DaemonSupervision, logger: Logger) {
        self.configuration = configuration
        self.supervision = supervision
        self.logger = logger
        metrics = WorkerMetrics(factory: supervision.metrics, backend: configuration.backend)
    }

    /// Runs until the process or the coordinator ends it.
    ///
    /// A signal to the process starts ``drain(reason:)``. Cancellation ends the worker at once.
    ///
    /// - Throws: `LinearAlgebraError` when the machine's linear algebra computes wrong numbers, the error of a
    ///   backend that cannot run here or computes wrong numbers, `MessagingError` when the coordinator is unreachable
    ///   or refuses to talk, or the error of opening the blob directory.
    public func run() async throws {
        // One BLAS thread for each lane: threaded OpenBLAS collapses when several lanes call it at once.
        BLASEnvironment.setThreadCount(1)
        try BLASEnvironment.selfTest()
        try configuration.backend.selfTest()
        try UnexecutableOperations.refuse(among: OperationRegistry.operations)
        logger.notice(
            "linear algebra ready",
            metadata: [
                "kernels": "\(BLASEnvironment.kernels)", "threads_per_lane": "\(BLASEnvironment.threadCount)",
                "lanes": "\(configuration.lanes)", "memory_mib": "\(configuration.memoryBytes >> 20)",
                "row_memory_mib": "\(configuration.rowMemoryBytes >> 20)",
                "blas": "\(BLASEnvironment.configuration)", "backend": "\(configuration.backend.name)",
            ])
        let cache = try BlobCache(
            opening: configuration.cacheDirectory, limit: configuration.cacheLimit,
            isDurable: configuration.keepsCache)
        let context = try Context()
        let connection = try await WorkerConnection.connect(
            to: configuration.coordinator, hello: hello, keys: configuration.keys, context: context)
        let parts = WorkerParts(
            cache: cache, connection: connection, visible: VisibleFiles(roots: configuration.roots),
            staged: StagedFiles(roots: configuration.roots), logger: logger)
        try await withGracefulShutdownHandler {
            try await serve(parts)
        } onGracefulShutdown: {
            drain(reason: "the worker was told to stop")
        }
    }

    /// Takes the worker out of service; then ``run()`` returns.
    ///
    /// No new unit begins, current units finish, and blobs are sent until the coordinator wants no more.
    ///
    /// - Parameter reason: The reason, for the coordinator's log.
    public func drain(reason: String) {
        farewell.begin(reason)
    }

    private var hello: WorkerHello {
        WorkerHello(
            worker: configuration.worker, host: configuration.host, lanes: configuration.lanes,
            memoryBytes: configuration.memoryBytes, rowMemoryBytes: configuration.rowMemoryBytes,
            regime: configuration.backend.workerRegime, build: configuration.build)
    }

    private func serve(_ parts: WorkerParts) async throws {
        let connection = parts.connection
        let greetingLimit = configuration.greetingLimit
        let lanes = (0..<configuration.lanes).map { LaneProgress(number: $0) }
        let executors = lanes.enumerated().map { number, lane in
            UnitExecutor(
                number: number, progress: lane, metrics: metrics, backend: configuration.backend,
                memoryBytes: configuration.memoryBytes)
        }
        show(lanes, parts)
        let rowSums = rowSums(besides: configuration.lanes, connection)
        let failure = await withThrowingTaskGroup(of: Void.self) { group -> (any Error)? in
            group.addTask { try await connection.receive() }
            group.addTask { try await connection.beat(greetingLimit: greetingLimit) { progress.progress } }
            group.addTask { await untilCancelled { try? await connection.sendWaitingReports() } }
            group.addTask { await obey(parts) }
            group.addTask { await leave(parts) }
            group.addTask { await askConnection(connection) }
            group.addTask { await untilCancelled { await tellUnreachability(connection) } }
            group.addTask { await untilCancelled { await work(executors, parts) } }
            group.addTask { await untilCancelled { await rowSums.run(connection.rowWords) } }
            group.addTask { try await untilCancelled { try await connection.watchConnection() } }
            group.addTask { await untilCancelled { await parts.uploads.run() } }
            group.addTask { await untilCancelled { await parts.holdings.tellChanges() } }
            group.addTask { await untilCancelled { await logLosses(of: parts.cache) } }
            if configuration.keepsCache {
                group.addTask { await untilCancelled { await parts.durability.run() } }
            }
            // The worker ends with the first loop that ends. The reason is the error of the loop that failed, although
            // other loops may have ended before it because of the same cause.
            var failure = (await group.nextResult())?.failure
            parts.queue.close()
            parts.collects.close()
            group.cancelAll()
            await connection.close(reason: "the worker ends")
            while let next = await group.nextResult() { failure = failure ?? next.failure }
            return failure
        }
        if configuration.keepsCache { await parts.durability.makeDurable() }
        if let failure { throw failure }
    }

    /// Runs a body whose end does not end the worker: a worker without lanes still sends its blobs.
    private func untilCancelled(_ body: () async throws -> Void) async rethrows {
        try await body()
        while (try? await Task.sleep(for: .seconds(3600))) != nil { continue }
    }

    /// Waits until the worker is asked to leave, and takes it out of service.
    private func leave(_ parts: WorkerParts) async {
        guard let reason = await farewell.reason() else { return }
        logger.notice("leaving", metadata: [LogKeys.cause: "\(reason)", LogKeys.worker: "\(configuration.worker)"])
        supervision.readiness.clear("draining")
        parts.queue.close()
        if await parts.connection.isConnected {
            farewell.announce(reason)
            try? await parts.connection.tell(.draining(reason: reason))
            await farewell.isLetGo(within: configuration.drainLimit, by: parts.connection)
        }
        await parts.connection.close(reason: reason)
    }

    /// Handles the coordinator's messages.
    private func obey(_ parts: WorkerParts) async {
        for await word in parts.connection.words {
            switch word {
            case .welcomed(let coordinator):
                logger.notice(
                    "connected to the coordinator",
                    metadata: [
                        LogKeys.endpoint: "\(configuration.coordinator)", "coordinator": "\(coordinator)",
                        LogKeys.worker: "\(configuration.worker)",
                    ])
                if supervision.readiness.reason != "draining" { supervision.readiness.set() }
                if let reason = farewell.announced { try? await parts.connection.tell(.draining(reason: reason)) }
                await parts.holdings.tellAll()
            case .forgotten:
                if supervision.readiness.reason == nil { supervision.readiness.clear("greeting the coordinator") }
                logger.notice("the coordinator was restarted or lost; greeting it again")
                parts.queue.removeAll()
                parts.collects.removeAll()
            case .order(let order): await obey(order, parts)
            }
        }
    }

    private func obey(_ order: WorkerOrder<UnitLease>, _ parts: WorkerParts) async {
        switch order {
        case .lease(let lease): parts.queue.add(lease)
        case .revoke(let unit): parts.queue.revoke(unit)
        case .collect(let digest): await parts.uploads.collect(digest)
        case .discard(let digests):
            logger.warning("discarding damaged blobs", metadata: ["blobs": "\(digests.count)"])
            parts.cache.discard(digests)
        case .drain: farewell.begin("the coordinator takes the worker out of service")
        case .dismiss: farewell.dismiss()
        }
    }

    private func logLosses(of cache: BlobCache) async {
        for await loss in cache.losses {
            logger.warning("a blob was lost", metadata: [LogKeys.cause: "\(loss)"])
        }
    }

    // MARK: - Rows

    /// Makes as many lanes for rows as for units, numbered behind these.
    ///
    /// They have threads of their own, because a unit may take long and a client waits for its credit.
    private func rowSums(besides count: Int, _ connection: WorkerConnection) -> RowSums {
        let lanes = (count..<2 * count).map { LaneProgress(number: $0) }
        for lane in lanes { supervision.health.watch(lane) }
        return RowSums(lanes: lanes, backend: configuration.backend, metrics: metrics) { word, payload in
            if case .failed(let name, let failure) = word { log(failure, of: name) }
            try? await connection.tell(.rowSum(word), payload: payload)
        }
    }

    private func log(_ failure: UnitFailure, of name: RowSumName) {
        logger.log(
            level: failure.kind == .badInput ? .notice : .warning, "a sum of rows failed",
            metadata: [
                "sum": "\(name)", LogKeys.worker: "\(configuration.worker)", LogKeys.cause: "\(failure.message)",
            ])
    }

    // MARK: - Units

    /// Computes units on all lanes until no more come.
    private func work(_ executors: [UnitExecutor], _ parts: WorkerParts) async {
        await withTaskGroup(of: Void.self) { group in
            for executor in executors {
                // All of the loop runs on the lane, because a brief unit takes less time than a change of threads.
                group.addTask {
                    await executor.run { lane in
                        while let unit = await nextUnit(parts) {
                            await unit.run(isolation: lane) { await compute(unit, lane, parts) }
                            parts.queue.end(unit.leased)
                        }
                    }
                }
            }
        }
    }

    /// The next unit; without one that waits, nothing that was reported waits either.
    private func nextUnit(_ parts: WorkerParts) async -> BegunUnit? {
        if let unit = parts.queue.nextWaiting() { return unit }
        try? await parts.connection.sendReports()
        return await parts.queue.next()
    }

    /// Computes a unit and reports its outcome.
    private func compute(_ unit: BegunUnit, _ executor: UnitExecutor, _ parts: WorkerParts) async {
        let counter = progress.begin(unit.leased)
        let blobs = UnitBlobs(
            cache: parts.cache, connection: parts.connection, turns: parts.turns,
            placement: OutputPlacement(
                files: parts.staged, cache: parts.cache, places: unit.lease.places, progress: counter))
        let input = InputReader(
            lease: unit.lease, visible: parts.visible, connection: parts.connection, blobs: blobs)
        try? await parts.connection.report(.started(unit.leased), canWait: unit.lease.isBrief)
        executor.progress.begin(unit.lease.title, stageSeconds: unit.lease.operation.stageSeconds) {
            LaneProgress.Reading(steps: counter.steps, isWaiting: counter.isWaiting)
        }
        let (outcome, kernels, elapsed) = await executor.execute(input)
        executor.progress.end()
        metrics.note(outcome, unit.lease.operation.stage, elapsed: elapsed, kernels: kernels)
        await report(outcome, kernels.time, elapsed, unit, parts.connection)
        // Outputs stay pinned until they are reported, because the coordinator cannot miss what it has not heard of.
        blobs.release()
        progress.end(counter)
    }

    private func report(
        _ outcome: UnitOutcome, _ kernels: Duration, _ elapsed: Duration, _ unit: BegunUnit,
        _ connection: WorkerConnection
    ) async {
        switch outcome {
        case .computed(let result):
            guard !result.sharesMessage else {
                try? await connection.report(
                    .finished(
                        unit.leased, result, elapsedSeconds: elapsed / .seconds(1), kernelSeconds: kernels / .seconds(1)
                    ),
                    canWait: unit.lease.isBrief)
                return
            }
            try? await connection.sendReports()
            let problem = try? await connection.tellFinished(
                unit.leased, result, elapsedSeconds: elapsed / .seconds(1), kernelSeconds: kernels / .seconds(1))
            if let problem = problem.flatMap({ $0 }) { log(.warning, "unit failed", unit, problem) }
        case .failed(let failure):
            // Bad input ends the job, and the job's end tells its owner the same.
            let isBadInput = failure.kind == .badInput
            log(isBadInput ? .notice : .warning, isBadInput ? "bad input" : "unit failed", unit, failure.message)
            try? await connection.sendReports()
            try? await connection.tellWhenWelcome(.failed(unit.leased, failure))
        case .cancelled: return
        }
    }

    private func log(_ level: Logger.Level, _ message: Logger.Message, _ unit: BegunUnit, _ cause: String) {
        logger.log(
            level: level, message,
            metadata: [
                LogKeys.job: "\(unit.leased.unit.job)", LogKeys.unit: "\(unit.leased.unit.unit)",
                LogKeys.title: "\(unit.lease.title)", LogKeys.attempt: "\(unit.leased.attempt)",
                LogKeys.worker: "\(configuration.worker)", LogKeys.cause: "\(cause)",
            ])
    }
}

extension UnitResult {
    /// Whether it is small enough to be reported together with others.
    fileprivate var sharesMessage: Bool {
        blobs.count + measurements.values.reduce(0) { $0 + $1.count } <= WorkerConnection.joinedItemsMax
    }
}

extension Result where Success == Void, Failure == any Error {
    /// The error, unless it only says that another loop has ended.
    fileprivate var failure: (any Error)? {
        guard case .failure(let error) = self, !(error is CancellationError) else { return nil }
        return error
    }
}
