import Identifiers
import JobPlan
import LinearAlgebra
public import Logging
import Messaging
public import ServiceLifecycle
import Telemetry
import WireProtocol
import ZeroMQ

/// A worker daemon: greets a coordinator, computes the units that it is given, stores their blobs there.
public struct Worker: Service {
    private let configuration: WorkerConfiguration
    private let logger: Logger

    /// Prepares a worker.
    ///
    /// - Parameters:
    ///   - configuration: How it runs.
    ///   - logger: For its log lines.
    public init(configuration: WorkerConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Runs until the process is told to end.
    ///
    /// - Throws: `LinearAlgebraError` when the machine's linear algebra computes wrong numbers, `MessagingError` when
    ///   the coordinator cannot be reached or refuses to talk.
    public func run() async throws {
        // One BLAS thread a lane: threaded OpenBLAS called from several lanes at once collapses .
        BLASEnvironment.setThreadCount(1)
        try BLASEnvironment.selfTest()
        logger.notice(
            "linear algebra ready",
            metadata: [
                "kernels": "\(BLASEnvironment.kernels)", "threads_per_lane": "\(BLASEnvironment.threadCount)",
                "lanes": "\(configuration.lanes)", "memory_mib": "\(configuration.memoryBytes >> 20)",
                "blas": "\(BLASEnvironment.configuration)",
            ])
        let context = try Context()
        let connection = try await WorkerConnection.connect(
            to: configuration.coordinator, hello: hello, context: context)
        let queue = LeaseQueue()
        try await withGracefulShutdownHandler {
            try await serve(connection, queue)
        } onGracefulShutdown: {
            // Task because the handler is synchronous: it only starts the farewell, which ends the loops below.
            Task {
                await queue.close()
                await connection.close(reason: "the worker was told to stop")
            }
        }
    }

    private var hello: WorkerHello {
        WorkerHello(
            worker: configuration.worker, host: configuration.host, lanes: configuration.lanes,
            memoryBytes: configuration.memoryBytes, kernelSet: BLASEnvironment.kernels, build: configuration.build)
    }

    private func serve(_ connection: WorkerConnection, _ queue: LeaseQueue) async throws {
        let visible = VisibleFiles()
        let greetingLimit = configuration.greetingLimit
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await connection.receive() }
            group.addTask { try await connection.beat(greetingLimit: greetingLimit) }
            group.addTask { await connection.watchConnection() }
            group.addTask { await obey(connection, queue) }
            for number in 0..<configuration.lanes {
                let executor = try UnitExecutor(number: number, visible: visible, connection: connection)
                group.addTask { await work(executor, connection, queue) }
            }
            // Whichever loop ends first, the worker is over; why, the one that failed tells.
            let first = await group.nextResult()
            await queue.close()
            group.cancelAll()
            if case .failure(let error) = first { throw error }
            try await group.waitForAll()
        }
    }

    /// Takes in the coordinator's orders.
    private func obey(_ connection: WorkerConnection, _ queue: LeaseQueue) async {
        for await order in connection.orders {
            switch order {
            case .welcomed(let coordinator):
                logger.notice(
                    "connected to the coordinator",
                    metadata: [
                        LogKeys.endpoint: "\(configuration.coordinator)", "coordinator": "\(coordinator)",
                        LogKeys.worker: "\(configuration.worker)",
                    ])
            case .forgotten:
                logger.notice("the coordinator was restarted; greeting it again")
                await queue.removeAll()
            case .lease(let lease): await queue.add(lease)
            case .revoke(let unit): await queue.remove(unit)
            }
        }
    }

    /// Computes units until no more come; while one is stored, the next is computed.
    private func work(_ executor: UnitExecutor, _ connection: WorkerConnection, _ queue: LeaseQueue) async {
        await withTaskGroup(of: Void.self) { storing in
            while let lease = await queue.next() {
                let name = LeasedUnitName(lease.unit, lease.attempt)
                try? await connection.tell(.started(name))
                let (outcome, kernels, elapsed) = await executor.execute(lease)
                // At most one unit's results wait in memory beside the unit that is computed.
                await storing.waitForAll()
                storing.addTask { await report(outcome, kernels, elapsed, name, connection) }
            }
        }
    }

    /// Stores a unit's blobs, then says that it is finished.
    private func report(
        _ outcome: UnitOutcome, _ kernels: Duration, _ elapsed: Duration, _ name: LeasedUnitName,
        _ connection: WorkerConnection
    ) async {
        do {
            switch outcome {
            case .computed(let output):
                var references: [BlobReference] = []
                for blob in output.blobs {
                    let reference = blob.reference
                    try await connection.upload(reference) { blob.frame($0) }
                    references.append(reference)
                }
                let result = UnitResult(blobs: references, measurements: output.measurements)
                try await connection.tell(
                    .finished(name, result, elapsedSeconds: elapsed / .seconds(1), kernelSeconds: kernels / .seconds(1))
                )
            case .badInput(let message):
                log("bad input", name, message)
                try await connection.tell(.failed(name, isBadInput: true, message: message))
            case .failed(let message):
                log("unit failed", name, message)
                try await connection.tell(.failed(name, isBadInput: false, message: message))
            }
        } catch {
            log("results could not be stored", name, "\(error)")
            try? await connection.tell(.failed(name, isBadInput: false, message: "\(error)"))
        }
    }

    private func log(_ message: Logger.Message, _ name: LeasedUnitName, _ cause: String) {
        logger.warning(
            message,
            metadata: [
                LogKeys.job: "\(name.unit.job)", LogKeys.unit: "\(name.unit.unit)",
                LogKeys.attempt: "\(name.attempt)", LogKeys.worker: "\(configuration.worker)",
                LogKeys.cause: "\(cause)",
            ])
    }
}
