import BlobStore
import Identifiers
import KroneckerFactors
import LinearAlgebra
import Logging
import Messaging
import ServiceLifecycle
import Supervision
import SystemPackage
import TestSupport
import Testing
import UnitOperations
import WireProtocol
import WorkerService
import ZeroMQ

/// A complete worker with one lane, and a coordinator that the test controls.
struct WorkerHarness {
    let coordinator: FakeCoordinator
    let worker: Worker
    let directory: TemporaryDirectory
    /// What the worker says of itself, once it has.
    private(set) var greeting: WorkerHello?

    /// Runs a worker until the body returns.
    ///
    /// The body must have let it go. Then checks that the worker ended in order.
    static func run(
        cacheBytes: UInt64 = 64 << 20, rowMemoryBytes: UInt64 = 0, drainLimit: Duration = .seconds(600),
        backend: any FactorBackend = FactorBackendRegistry.standard,
        _ body: @escaping @Sendable (WorkerHarness) async throws -> Void
    ) async throws {
        let context = try Context()
        let directory = try TemporaryDirectory()
        let coordinator = try await FakeCoordinator(context: context)
        var configuration = WorkerConfiguration(
            coordinator: coordinator.endpoint, worker: "worker-1", host: "test", lanes: 1, memoryBytes: 1 << 30,
            greetingLimit: .seconds(30), build: "test", cacheDirectory: FilePath(directory.appending("cache")),
            cacheLimit: .bytes(cacheBytes), keepsCache: false, drainLimit: drainLimit)
        configuration.rowMemoryBytes = rowMemoryBytes
        configuration.backend = backend
        let worker = Worker(
            configuration: configuration,
            supervision: DaemonSupervision(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let harness = WorkerHarness(coordinator: coordinator, worker: worker, directory: directory)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await coordinator.serve() }
            do {
                try await harness.accompany(body)
            } catch {
                group.cancelAll()
                await coordinator.close()
                throw error
            }
            await coordinator.close()
            try await group.waitForAll()
        }
    }

    /// Runs the worker and the body to their ends; the worker's last message may arrive after its end.
    private func accompany(_ body: @escaping @Sendable (WorkerHarness) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await worker.run()
                } catch {
                    // No message will arrive any more that the body could wait for.
                    await coordinator.close()
                    throw error
                }
            }
            group.addTask {
                var greeted = self
                greeted.greeting = try await hello()
                try await body(greeted)
            }
            try await group.waitForAll()
        }
    }

    private func hello() async throws -> WorkerHello {
        try await coordinator.next("the greeting") { message in
            if case .hello(let hello) = message { hello } else { nil }
        }
    }

    /// Lets the worker go, and waits for its last message.
    func dismiss() async throws {
        await coordinator.send(.order(.dismiss))
        try await goodbye()
    }

    func goodbye() async throws {
        try await coordinator.next("the goodbye") { message -> Void? in
            if case .goodbye = message { () } else { nil }
        }
    }

    /// A unit whose factors must be fetched; its result is their sum.
    func lease(_ unit: Int, _ factors: [[Float]]) -> UnitLease {
        let blobs = factors.map { elements -> BlobReference in
            let bytes = elements.withUnsafeBytes { Array($0) }
            let digest = BlobDigest(hashing: bytes.span.bytes)
            coordinator.offer(bytes, as: .blob(digest))
            return BlobReference(digest: digest, byteCount: UInt64(bytes.count))
        }
        let dimension = PackedTriangle.row(containing: factors[0].count)
        return UnitLease(
            leased: LeasedUnit(UnitReference(job: "job-1", unit: UnitIndex(unit)), Attempt(1)), title: "unit \(unit)",
            subject: "",
            operation: AccumulateOperation(
                side: .gradient, shape: .full(dimension), weights: blobs.map { _ in 1 }, exclusions: [nil],
                scale: .paper),
            inputs: UnitInputs(blobs: blobs), files: [:])
    }

    /// The result of a unit.
    func result(of lease: UnitLease) async throws -> UnitResult {
        try await coordinator.next("the result") { message in
            if case .finished(lease.leased, let result, _, _) = message {
                result
            } else {
                nil
            }
        }
    }

    /// Waits until a complete blob has arrived.
    ///
    /// If the worker does not hold the blob yet, the coordinator asks again.
    func waitUntilStored(_ digest: BlobDigest) async throws {
        while coordinator.stored(digest) == nil {
            let mustAsk = try await coordinator.next("the upload") { message -> Bool? in
                switch message {
                case .uploadChunk: false
                case .collectFailure(digest, _): true
                default: nil
                }
            }
            if mustAsk { await coordinator.send(.order(.collect(digest))) }
        }
    }
}
