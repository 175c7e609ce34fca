import Identifiers
import KroneckerFactors
import LinearAlgebra
import Logging
import PrometheusMetrics
import Safetensors
import Supervision
import Synchronization
import SystemPackage
import TestSupport
import Testing
import UnitOperations
import WireProtocol
import ZeroMQ

@testable import WorkerService

/// What every backend must do, and how a worker takes one.
@Suite(.timeLimit(.minutes(5)))
struct FactorBackendTests {
    /// Every backend that a worker may be told to use, and one that only the tests have.
    ///
    /// Those that this processor lacks instructions for are left out.
    private static let backends: [any FactorBackend] =
        FactorBackendRegistry.backends.filter { (try? $0.makeAccumulator()) != nil } + [DoubleFactorBackend()]

    private static let shapes = [PositionReduction.none, .sum(positions: 3), .mean(positions: 4)].flatMap { reduction in
        [false, true].map { FactorShape(columnCount: 7, appendsOne: $0, reduction: reduction) }
    }

    /// 24 rows of 7 elements.
    private static let elements: [Float] = {
        var random = SplitMix64(seed: 11)
        return random.values(24 * 7).map { Float($0) }
    }()

    private func rows() throws -> Matrix<Float> { try Matrix(rows: 24, columns: 7, elements: Self.elements) }

    /// Σ row·rowᵀ over the reduced rows of ``elements`` in fp64, packed.
    private func outerProducts(_ shape: FactorShape) -> [Double] {
        let (group, scale) =
            switch shape.reduction {
            case .none: (1, 1.0)
            case .sum(let positions): (positions, 1.0)
            case .mean(let positions): (positions, 1 / Double(positions))
            }
        let reduced = stride(from: 0, to: 24, by: group).map { first in
            (0..<7).map { column in
                (first..<first + group).reduce(0.0) { $0 + Double(Self.elements[$1 * 7 + column]) } * scale
            } + (shape.appendsOne ? [1] : [])
        }
        return (0..<shape.dimension).flatMap { row in
            (0...row).map { column in reduced.reduce(0.0) { $0 + $1[row] * $1[column] } }
        }
    }

    @Test(arguments: backends.indices)
    func `a backend sums outer products over chunks, whatever the shape, one factor after the other`(
        index: Int
    ) throws {
        var accumulator = try Self.backends[index].makeAccumulator()
        let rows = try rows()
        for shape in Self.shapes {
            for isPartial in [true, false] {
                try accumulator.begin(shape)
                for chunk in [0..<12, 12..<24] { try accumulator.add(rows: chunk, of: rows) }
                let sums =
                    if isPartial {
                        try accumulator.finishPartial().elements
                    } else {
                        try accumulator.finish(divisor: 16).elements.map { Double($0) * 16 }
                    }
                expectClose(sums, outerProducts(shape), relative: 1e-6, absolute: 1e-5)
            }
        }
    }

    @Test(arguments: backends.indices)
    func `factors that one accumulator sums in turns have the bits that each has alone`(index: Int) throws {
        let rows = try rows()
        let chunks = [0..<12, 12..<24]
        let alone = try Self.shapes.map { shape in
            var accumulator = try Self.backends[index].makeAccumulator()
            try accumulator.begin(shape)
            for chunk in chunks { try accumulator.add(rows: chunk, of: rows) }
            return try accumulator.finishPartial().elements
        }
        var accumulator = try Self.backends[index].makeAccumulator()
        var paused: [any PausedFactorSum] = []
        for shape in Self.shapes {
            try accumulator.begin(shape)
            paused.append(try accumulator.pause())
        }
        for chunk in chunks {
            for sum in paused.indices {
                try accumulator.resume(paused[sum])
                try accumulator.add(rows: chunk, of: rows)
                paused[sum] = try accumulator.pause()
            }
        }
        for (sum, alone) in zip(paused, alone) {
            try accumulator.resume(sum)
            #expect(try accumulator.finishPartial().elements == alone)
        }
    }

    @Test(arguments: backends.indices)
    func `a backend names a row that is not finite by its number in the factor`(index: Int) throws {
        var accumulator = try Self.backends[index].makeAccumulator()
        var rows = try rows()
        rows[7, 2] = .infinity
        for shape in Self.shapes {
            try accumulator.begin(shape)
            try accumulator.add(rows: 12..<24, of: rows)
            #expect(throws: KroneckerFactorsError.nonFinite(row: 19)) { try accumulator.add(rows: 0..<12, of: rows) }
        }
    }

    @Test(arguments: backends.indices)
    func `a backend divides no empty sum, also after another factor`(index: Int) throws {
        var accumulator = try Self.backends[index].makeAccumulator()
        let rows = try rows()
        try accumulator.begin(Self.shapes[0])
        try accumulator.add(rows: 0..<24, of: rows)
        try accumulator.begin(Self.shapes[0])
        #expect(throws: KroneckerFactorsError.noRows) { _ = try accumulator.finish(divisor: 1) }
    }

    @Test(arguments: backends.indices)
    func `a backend's known factor is right, and what it says of itself fits into a greeting`(index: Int) throws {
        let backend = Self.backends[index]
        try backend.selfTest()
        #expect(backend.name.wholeMatch(of: /[a-z0-9]+/) != nil)
        for text in [backend.workerRegime.kernels, backend.workerRegime.elements] {
            #expect(!text.isEmpty && text.utf8.count <= 1000 && text == text.printable)
        }
    }

    @Test func `names are unique, and each is found`() throws {
        let names = FactorBackendRegistry.backends.map(\.name)
        #expect(Set(names).count == names.count)
        for name in names { #expect(try FactorBackendRegistry.backend(named: name).name == name) }
        #expect(names.contains(FactorBackendRegistry.standard.name))
    }

    @Test func `the automatic backend is the first that suits the machine's processor and the kernels of the BLAS`()
        throws
    {
        let automatic = try FactorBackendRegistry.backend(named: FactorBackendRegistry.automatic)
        let arithmetics: [(ProductArithmetic, String)] = [(.exactBFloat16, "bf16"), (.fusedMultiplyAdd, "fma")]
        let suitable = arithmetics.first { $0.0.isSupported && $0.0.suitsKernels }
        #expect(automatic.name == suitable?.1 ?? "blas")
    }

    @Test func `the fastest arithmetic, which predictions measure, is that of the automatic backend`() throws {
        let own = ProductArithmetic.fastest.ownKernels
        let kernels = try FactorBackendRegistry.backend(named: FactorBackendRegistry.automatic).regime.kernels
        #expect(kernels == (own.isEmpty ? BLASEnvironment.kernelFamily : own))
    }

    @Test func `a backend whose instructions the processor lacks says so, and suits no machine`() throws {
        let lacking: [(any FactorBackend, String)] = [
            (BFloat16FactorBackend(isSupported: false), "bf16 needs a processor with AVX512-BF16"),
            (FMAFactorBackend(isSupported: false), "fma needs a processor with AVX2 and FMA"),
        ]
        for (backend, need) in lacking {
            #expect(!backend.suitsMachine)
            let error = #expect(throws: MissingInstructions.self) { _ = try backend.makeAccumulator() }
            #expect(
                error?.description
                    == "the backend \(need), which this one lacks. Set backend to auto, or start the worker on another machine."
            )
        }
    }

    @Test func `an unknown name is answered with the known ones`() {
        let error = #expect(throws: UnknownFactorBackend.self) { try FactorBackendRegistry.backend(named: "BLAS") }
        #expect(error?.description == "expected the name of a backend of this program: auto, bf16, fma, blas.")
    }

    @Test func `a worker does not start with a backend that computes wrong numbers`() async throws {
        let directory = try TemporaryDirectory()
        // Nobody listens there: the worker must end before it asks.
        var configuration = WorkerConfiguration(
            coordinator: try Endpoint("ipc://\(directory.appending("nobody"))"), worker: "worker-1", host: "test",
            lanes: 1, memoryBytes: 1 << 30, greetingLimit: .seconds(600), build: "test",
            cacheDirectory: FilePath(directory.appending("cache")), cacheLimit: .bytes(1 << 20))
        configuration.backend = DoubleFactorBackend(fault: 2)
        let worker = Worker(
            configuration: configuration, supervision: DaemonSupervision(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let error = await #expect(throws: WrongFactorBackend.self) { try await worker.run() }
        #expect(
            error?.description
                == "the backend double gave 3.0 as element (0, 0) of a known factor; expected 1.0. Set backend to another "
                + "one, or repair the library and the device that it uses.")
    }

    @Test func `metrics name the backend and its arithmetic`() async {
        let registry = MetricRegistry(families: WorkerMetrics.families)
        _ = WorkerMetrics(factory: registry, backend: DoubleFactorBackend())
        let line = "kfacd_factor_backend_info{backend=\"double\",kernels=\"loops\",elements=\"fp64\"} 1\n"
        #expect(await registry.exposition().contains(line))
    }

    // MARK: - A worker

    /// A backend whose device went away after the start.
    struct LostBackend: FactorBackend {
        struct DeviceIsGone: Error, CustomStringConvertible {
            let description = "the device is gone."
        }

        let name = "lost"
        let regime = NumericRegime(kernels: "none", elements: "fp32")

        func makeAccumulator() throws -> any FactorAccumulator & ~Copyable { throw DeviceIsGone() }
    }

    @Test func `what a backend lacks fails a factor for another worker to compute, and no other unit`() async throws {
        try await Bench.run(backend: LostBackend()) { bench in
            let factor = FactorOperation(
                columns: 7, appendsOnes: false, elementType: .f32, rowSlices: [], chunkRows: 10, reduction: .none,
                divisor: 1)
            let fault = try await bench.fault(BenchUnit(factor))
            #expect(fault == (.world, "the unit: the device is gone."))
            let inverse = InvertOperation(
                shape: .full(1), isFullBlock: true, damping: DampingSpec(rule: .absolute, value: 0))
            let result = try await bench.result(BenchUnit(inverse, reading: [try bench.put([4 as Float])]))
            #expect(try bench.elements(result.blobs[0]) == [0.25])
        }
    }

    /// What a worker says of itself, and the factor that it computes of ``elements``.
    private struct Answer {
        let regime: NumericRegime
        let key: ResultKey
        let elements: [Float]
    }

    /// Lets a worker compute a factor from a file.
    private func answer(of backend: any FactorBackend) async throws -> Answer {
        let answer = Mutex<Answer?>(nil)
        try await WorkerHarness.run(backend: backend) { harness in
            let path = FilePath(harness.directory.appending("capture.safetensors"))
            let writer = try SafetensorsWriter(
                path: path, tensors: [TensorDescription(name: "fc.input", dataType: .float32, shape: [24, 7])])
            try writer.write(Self.elements.span.bytes, to: "fc.input")
            try writer.finish()
            let file = try SafetensorsFile(opening: path)
            let range = try file.fileRange(of: "fc.input", at: 0, count: 24 * 7 * 4)
            let operation = FactorOperation(
                columns: 7, appendsOnes: true, elementType: .f32,
                rowSlices: [
                    RowSlice(
                        slice: FileSlice(file: 0, offset: UInt64(range.lowerBound), byteCount: 24 * 7 * 4), rows: 24)
                ], chunkRows: 10, reduction: .none, divisor: 24)
            let lease = UnitLease(
                leased: LeasedUnit(UnitReference(job: "job-1", unit: UnitIndex(0)), Attempt(1)), title: "factor",
                subject: "fc.input", operation: operation, inputs: UnitInputs(blobs: []),
                files: [
                    0: LeasedFile(
                        path: path.string, byteCount: UInt64(file.identity.byteCount),
                        headerDigest: BlobDigest(sha256: file.identity.headerDigest))
                ])
            await harness.coordinator.send(.order(.lease(lease)))
            let blob = try #require(try await harness.result(of: lease).blobs.first)
            await harness.coordinator.send(.order(.collect(blob.digest)))
            try await harness.waitUntilStored(blob.digest)
            let bytes = try #require(harness.coordinator.stored(blob.digest))
            try await harness.dismiss()
            let input = InputFile(
                path: "/capture", byteCount: 1, modificationTime: 1, headerDigest: blob.digest, role: "capture")
            let regime = try #require(harness.greeting).regime
            answer.withLock {
                $0 = Answer(
                    regime: regime,
                    key: ResultKey(UnitKey(of: operation, inputs: lease.inputs, files: [input]), in: regime),
                    elements: bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) })
            }
        }
        return try #require(answer.withLock { $0 })
    }

    @Test func `a worker computes with its backend, greets with its regime, and its results have keys of their own`()
        async throws
    {
        let standard = try await answer(of: FactorBackendRegistry.standard)
        let double = try await answer(of: DoubleFactorBackend())
        #expect(standard.regime == NumericRegime(kernels: BLASEnvironment.kernelFamily, elements: "fp32"))
        #expect(
            double.regime
                == NumericRegime(
                    kernels: "\(BLASEnvironment.kernelFamily), factors by double: loops", elements: "fp64"))
        #expect(standard.key != double.key)
        let exact = outerProducts(FactorShape(columnCount: 7, appendsOne: true)).map { Float($0 / 24) }
        #expect(double.elements == exact)
        #expect(standard.elements != exact)
        expectClose(standard.elements, exact, relative: 1e-6, absolute: 1e-6)
    }
}
