import Console
import CostEstimate
import Dispatch
import FileAccess
import Glibc
import Hashing
import KroneckerFactors
import LinearAlgebra
import Synchronization
import SystemPackage

/// Measures the rates of this machine, with all lanes at work; it takes seconds.
///
/// What counts is the processor time of each lane, so that other programs do not make the machine seem slower than it
/// is when they have ended.
struct RateMeasurement {
    /// The number of threads that compute at once.
    let lanes: Int
    /// The arithmetic of the workers' products.
    let arithmetic: ProductArithmetic
    /// The directory of the test file, which has no name there.
    let directory: FilePath

    /// The dimensions of the measured products: a narrow layer to the widest one of ViT-B.
    private static let productDimensions = [64, 256, 768, 3072]
    private static let factorizationDimensions = [256, 1536]
    /// Rows of a measured product; more only take longer.
    private static let rows = 512
    /// The dimension of the triangles that are added, cleared and rounded: too large for a processor's caches.
    private static let triangleDimension = 2048
    /// Bytes that are hashed, read and written at a time.
    private static let pieceBytes = 4 << 20
    /// The part of the test file that a lane writes: larger than a processor's caches, and small enough not to wait for
    /// the disk.
    private static let laneBytes = 64 << 20

    /// Measures everything.
    ///
    /// - Throws: `FileError` about the test file, or an error of memory.
    func rates() throws -> MachineRates {
        // Several threads may call the BLAS at once only if none of its calls has threads of its own.
        BLASEnvironment.setThreadCount(1)
        let elementSums = try elementSums()
        let products = try curve(Self.productDimensions) { dimension in
            try product(columns: dimension, isBFloat16: false, elementSums: elementSums)
        }
        var bfloat16Products: RateCurve?
        if case .exactBFloat16 = arithmetic {
            bfloat16Products = try curve(Self.productDimensions) { dimension in
                try product(columns: dimension, isBFloat16: true, elementSums: elementSums)
            }
        }
        let factorizations = try curve(Self.factorizationDimensions, rate: factorization)
        let (reading, writing) = try fileRates()
        return MachineRates(
            products: products, bfloat16Products: bfloat16Products, factorizations: factorizations,
            matrixProducts: try matrixProducts(), elementSums: elementSums, triangles: try triangles(),
            squares: try squares(), reading: reading, writing: writing, hashing: try hashing())
    }

    /// The mean rate of the lanes, which all measure at once.
    private func mean(_ body: @Sendable (_ lane: Int) throws -> Double) throws -> Double {
        let results = Mutex<[Result<Double, any Error>]>([])
        DispatchQueue.concurrentPerform(iterations: lanes) { lane in
            let result = Result { try body(lane) }
            results.withLock { $0.append(result) }
        }
        let rates = try results.withLock { results in try results.map { try $0.get() } }
        return rates.reduce(0, +) / Double(rates.count)
    }

    /// How much of something is done in a second: calls a body once, and then as often as the time allows.
    ///
    /// The first call waits for fresh memory, as no later one does, so a long first call is enough. Of the others the
    /// median counts, because interruptions disturb some.
    static func rate(
        of amount: Double, within limit: Duration = .milliseconds(25), _ body: () throws -> Void
    ) rethrows -> Double {
        let first = try duration(of: body)
        guard first < limit * 4 else { return amount / (first / .seconds(1)) }
        let start = processorTime
        var durations: [Duration] = []
        repeat { durations.append(try duration(of: body)) } while processorTime - start < limit
        return amount / median(durations)
    }

    private static func duration(of body: () throws -> Void) rethrows -> Duration {
        let start = processorTime
        try body()
        return processorTime - start
    }

    /// The processor time of this thread.
    private static var processorTime: Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    /// The median in seconds; at least a nanosecond, because it divides.
    private static func median(_ durations: [Duration]) -> Double {
        max(durations.sorted()[durations.count / 2] / .seconds(1), 1e-9)
    }

    private func curve(_ dimensions: [Int], rate: (Int) throws -> Double) throws -> RateCurve {
        let points = try dimensions.map { RateCurve.Point(dimension: $0, rate: try rate($0)) }
        guard let curve = RateCurve(points) else {
            throw CommandFailure(.failed, "the clock of this machine stands still or runs backwards.")
        }
        return curve
    }

    // MARK: - Merges

    /// The pace of a merge.
    ///
    /// - Throws: What the method throws on drawn numbers.
    func pace(of sample: MergeSample) throws -> MergePace {
        BLASEnvironment.setThreadCount(1)
        let paces = Mutex<[MergePace]>([])
        _ = try mean { _ in
            let pace = try MergeRehearsal.pace(of: sample)
            paces.withLock { $0.append(pace) }
            return 1 / pace.seconds
        }
        let all = paces.withLock { $0 }
        func average(_ number: (MergePace) -> Double) -> Double {
            all.reduce(0) { $0 + number($1) } / Double(all.count)
        }
        return MergePace(
            seconds: average(\.seconds), elementSeconds: average(\.elementSeconds), passes: average(\.passes))
    }

    // MARK: - Matrices

    /// A product of rows, less its addition to the sum.
    private func product(columns: Int, isBFloat16: Bool, elementSums: Double) throws -> Double {
        let rows = Self.rows
        let multiplyAdds = Double(rows) * Double(columns) * Double(columns)
        let addition = Double(Self.elements(columns)) / elementSums
        return try mean { _ in
            // Eighths of numbers with eight digits are exact in bfloat16, and a third of them is not.
            let matrix = try Matrix<Float>(
                rows: rows, columns: columns,
                elements: (0..<rows * columns).map { Float($0 % 251 - 125) / (isBFloat16 ? 8 : 3) })
            var sum = try PackedSymmetricMatrix<Double>(dimension: columns)
            var product = try SymmetricProduct<Float>(arithmetic)
            let calls = try Self.rate(of: 1) { try product.add(rows: 0..<rows, of: matrix, to: &sum) }
            // The addition may be measured too slow on a busy machine.
            return multiplyAdds / max(1 / calls - addition, 0.5 / calls)
        }
    }

    private func factorization(dimension: Int) throws -> Double {
        try mean { _ in
            var factor = try PackedSymmetricMatrix<Float>(dimension: dimension)
            for row in 0..<dimension { factor[row, row] = 1 }
            // A unit of an inverse counts 2 n³.
            return try Self.rate(of: 2 * Double(dimension) * Double(dimension) * Double(dimension)) {
                _ = try DampedInverse(of: factor, damping: 0.01)
            }
        }
    }

    private func matrixProducts() throws -> Double {
        let dimension = 768
        return try mean { _ in
            var symmetric = try Matrix<Double>(rows: dimension, columns: dimension)
            symmetric.addToDiagonal(1)
            let matrix = try Matrix<Double>(
                rows: dimension, columns: dimension, elements: (0..<dimension * dimension).map { Double($0 % 251) })
            var product = try Matrix<Double>(rows: dimension, columns: dimension)
            return try Self.rate(of: Double(dimension * dimension * dimension)) {
                try product.addSymmetricProduct(symmetric, on: .left, of: matrix)
            }
        }
    }

    private static func elements(_ dimension: Int) -> Int { dimension * (dimension + 1) / 2 }

    private func elementSums() throws -> Double {
        try mean { _ in
            var sum = try PackedSymmetricMatrix<Double>(dimension: Self.triangleDimension)
            let added = try PackedSymmetricMatrix<Float>(dimension: Self.triangleDimension)
            return try Self.rate(of: Double(Self.elements(Self.triangleDimension))) { try sum.add(added, times: 0.5) }
        }
    }

    private func triangles() throws -> Double {
        try mean { _ in
            try Self.rate(of: Double(Self.elements(Self.triangleDimension))) {
                let sum = try PackedSymmetricMatrix<Double>(dimension: Self.triangleDimension)
                _ = try PackedSymmetricMatrix<Float>(narrowing: sum)
            }
        }
    }

    private func squares() throws -> Double {
        try mean { _ in
            let triangle = try PackedSymmetricMatrix<Float>(dimension: Self.triangleDimension)
            return try Self.rate(of: Double(Self.elements(Self.triangleDimension))) { _ = try triangle.unpacked() }
        }
    }

    // MARK: - Bytes

    private func hashing() throws -> Double {
        let bytes = Self.piece()
        return try mean { _ in
            Self.rate(of: Double(bytes.count)) {
                var hash = SHA256()
                hash.update(bytes)
                _ = hash.finalize()
            }
        }
    }

    /// Bytes a second of reading and writing a file in the page cache; each lane has a part of the file.
    private func fileRates() throws -> (reading: Double, writing: Double) {
        let file = try OpenedFile<FileError>(unnamedIn: directory)
        let bytes = Self.piece()
        // Every piece is written once only, because the kernel has to find room for fresh ones.
        let writing = try mean { lane in
            let start = lane * Self.laneBytes
            return try Self.fileRate { offset in try file.write(bytes.span.bytes, at: start + offset) }
        }
        let reading = try mean { lane in
            let start = lane * Self.laneBytes
            var buffer = bytes
            return try Self.fileRate { offset in
                var span = buffer.mutableSpan
                var target = span.mutableBytes
                _ = try file.read(at: start + offset, into: &target)
            }
        }
        return (reading, writing)
    }

    /// Bytes a second of a lane's part of the file, piece by piece.
    private static func fileRate(_ body: (_ offset: Int) throws -> Void) rethrows -> Double {
        let durations = try stride(from: 0, to: laneBytes, by: pieceBytes).map { offset in
            try duration { try body(offset) }
        }
        return Double(pieceBytes) / median(durations)
    }

    /// Bytes that no file system can pack, of Knuth's linear congruential generator.
    private static func piece() -> [UInt8] {
        var state: UInt64 = 1
        return (0..<pieceBytes).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
    }

    // MARK: - The disk

    /// Bytes a second that become durable in a directory's file system.
    ///
    /// - Throws: `FileError` when nothing can be written there.
    static func diskRate(in directory: FilePath) throws -> Double {
        let file = try OpenedFile<FileError>(unnamedIn: directory)
        let bytes = piece()
        let start = ContinuousClock.now
        var written = 0
        var elapsed = Duration.zero
        // A slow disk takes a few pieces only.
        for pieces in [2, 14] {
            guard elapsed < .milliseconds(150) else { break }
            for _ in 0..<pieces {
                try file.write(bytes.span.bytes, at: written)
                written += bytes.count
            }
            try file.synchronize()
            elapsed = start.duration(to: .now)
        }
        return Double(written) / max(elapsed / .seconds(1), 1e-9)
    }
}
