import BlobStore
import CoreMetrics
import FileAccess
import Identifiers
import LinearAlgebra
import Messaging
import Supervision
import SystemPackage
import TestSupport
import Testing
import UnitOperations
import WireProtocol
import ZeroMQ

@testable import WorkerService

/// The parts of a worker, connected to a coordinator that the test controls: one lane, one cache.
struct Bench {
    /// The unit that every lease names.
    static let name = LeasedUnit(UnitReference(job: "job-1", unit: UnitIndex(7)), Attempt(1))

    let directory: TemporaryDirectory
    let coordinator: FakeCoordinator
    let connection: WorkerConnection
    let cache: BlobCache
    let executor: UnitExecutor

    /// Sets everything up, runs the body, and removes everything.
    static func run(
        cacheBytes: UInt64 = 64 << 20, backend: any FactorBackend = FactorBackendRegistry.standard,
        _ body: (Bench) async throws -> Void
    ) async throws {
        let context = try Context()
        let directory = try TemporaryDirectory()
        let coordinator = try await FakeCoordinator(context: context)
        let connection = try await WorkerConnection.connect(
            to: coordinator.endpoint,
            hello: WorkerHello(
                worker: "bench", host: "test", lanes: 1, memoryBytes: 1 << 30,
                regime: NumericRegime(kernels: "test", elements: "fp32"), build: "test"),
            context: context)
        let bench = Bench(
            directory: directory, coordinator: coordinator, connection: connection,
            cache: try BlobCache(opening: FilePath(directory.appending("cache")), limit: .bytes(cacheBytes)),
            executor: UnitExecutor(
                number: 0, progress: LaneProgress(number: 0),
                metrics: WorkerMetrics(factory: NOOPMetricsHandler.instance, backend: backend), backend: backend,
                memoryBytes: 1 << 30))
        async let serving: Void = coordinator.serve()
        async let receiving: Void = connection.receive()
        let result = await Result { () async throws in try await body(bench) }
        await connection.close(reason: "the test ends")
        await coordinator.close()
        try await receiving
        await serving
        try result.get()
    }

    /// A blob in the cache that nobody uses.
    func put<Scalar: MatrixScalar>(_ elements: [Scalar]) throws -> BlobReference {
        let writer = try cache.beginWrite(byteCount: UInt64(elements.count * MemoryLayout<Scalar>.size))
        try writer.append(elements.span.bytes)
        let blob = try writer.finish()
        cache.unpin(blob.digest)
        return blob
    }

    /// The elements of a blob in the cache.
    func elements<Scalar: MatrixScalar>(_ blob: BlobReference, of type: Scalar.Type = Float.self) throws -> [Scalar] {
        var elements = [Scalar](repeating: 0, count: Int(blob.byteCount) / MemoryLayout<Scalar>.size)
        var span = elements.mutableSpan
        var raw = span.mutableBytes
        try cache.read(blob.digest, at: 0, into: &raw)
        return elements
    }

    /// A lease of the operation.
    func lease(_ unit: BenchUnit) -> UnitLease {
        UnitLease(
            leased: Self.name, title: "the unit", subject: unit.subject, operation: unit.operation,
            inputs: unit.inputs, files: unit.files)
    }

    /// The input that the unit needs.
    func input(
        _ unit: BenchUnit, places: [OutputPlace] = [],
        counter: UnitProgressCounter = UnitProgressCounter(unit: Bench.name)
    ) -> InputReader {
        InputReader(
            lease: lease(unit), visible: VisibleFiles(roots: .unlimited), connection: connection,
            blobs: UnitBlobs(
                cache: cache, connection: connection, turns: FetchTurns(),
                placement: OutputPlacement(
                    files: StagedFiles(roots: .unlimited), cache: cache, places: places, progress: counter)))
    }

    /// Computes an operation as a lane does.
    func outcome(_ unit: BenchUnit, places: [OutputPlace] = []) async -> UnitOutcome {
        let input = input(unit, places: places)
        defer { input.blobs.release() }
        return await execute(input).outcome
    }

    /// Computes what an input names, as a lane does.
    func execute(_ input: InputReader) async -> (outcome: UnitOutcome, kernels: KernelNotes, elapsed: Duration) {
        await executor.execute(input)
    }

    /// The result of an operation that must succeed.
    func result(_ unit: BenchUnit, places: [OutputPlace] = []) async throws -> UnitResult {
        let outcome = await outcome(unit, places: places)
        guard case .computed(let result) = outcome else { throw Unexpected(outcome: outcome) }
        return result
    }

    /// The fault of an operation that must fail.
    func fault(_ unit: BenchUnit) async throws -> (fault: UnitFailure.Kind, message: String) {
        let outcome = await outcome(unit)
        guard case .failed(let failure) = outcome else { throw Unexpected(outcome: outcome) }
        return (failure.kind, failure.message)
    }

    /// A unit ended in an unexpected way.
    struct Unexpected: Error {
        let outcome: UnitOutcome
    }
}

/// An operation with its inputs.
struct BenchUnit {
    let operation: any UnitOperation
    let inputs: UnitInputs
    let files: [Int: LeasedFile]
    let subject: String

    init(
        _ operation: any UnitOperation, reading blobs: [BlobReference] = [], numbers: [[Double]] = [],
        files: [Int: LeasedFile] = [:], about subject: String = ""
    ) {
        self.operation = operation
        inputs = UnitInputs(blobs: blobs, numbers: numbers)
        self.files = files
        self.subject = subject
    }
}

extension Result where Failure == any Error {
    /// Catches the error that an asynchronous body throws.
    init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
