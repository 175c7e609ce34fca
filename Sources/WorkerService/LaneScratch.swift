import KroneckerFactors
import LinearAlgebra

/// The kinds of numeric kernels whose time is measured.
enum NumericKernel: String, CaseIterable, Hashable {
    /// Computes a factor from rows: the symmetric rank-k update and the sum of its chunks.
    case rankUpdate = "rank_update"
    /// Computes a factor's damped inverse, including every factorization that was tried.
    case inverse
    /// Multiplies factors with task vectors.
    case product
    /// Solves a damped system for a merged block, including every factorization that was tried.
    case solve
}

/// The times and dampings of a unit's kernels, for the metrics.
struct KernelNotes {
    /// The time by kind.
    private(set) var times: [NumericKernel: Duration] = [:]
    /// The amounts added to diagonals in the end, as multiples of the requested ones.
    ///
    /// Matrices without requested damping have no entry.
    private(set) var dampingRatios: [Double] = []

    /// The time in all kernels.
    var time: Duration { times.values.reduce(.zero, +) }

    /// Adds the time since `start`.
    mutating func note(_ kernel: NumericKernel, since start: ContinuousClock.Instant) {
        times[kernel, default: .zero] += ContinuousClock.now - start
    }

    /// Adds a matrix's damping.
    mutating func note(_ health: FactorHealth) {
        guard health.requestedDamping > 0 else { return }
        dampingRatios.append(health.damping / health.requestedDamping)
    }
}

/// Memory that a lane keeps between units, and the notes of its kernels.
struct LaneScratch: ~Copyable, Sendable {
    /// Bytes of rows that must be widened.
    var raw: [UInt8] = []
    /// The notes of the current unit's kernels.
    var kernels = KernelNotes()
    private let backend: any FactorBackend
    private var accumulator: (any FactorAccumulator & ~Copyable)?
    private var doubleAccumulator: DoubleAccumulator?
    private var chunk: Matrix<Float>

    /// Starts empty.
    init(_ backend: any FactorBackend) throws {
        let chunk = try Matrix<Float>(rows: 0, columns: 0)
        self.backend = backend
        accumulator = nil
        doubleAccumulator = nil
        self.chunk = chunk
    }

    /// What sums a factor; it reuses the memory of the last one.
    mutating func takeAccumulator() throws -> any FactorAccumulator & ~Copyable {
        doubleAccumulator = nil
        guard let taken = accumulator.take() else { return try backend.makeAccumulator() }
        return taken
    }

    /// Keeps an accumulator for the next unit.
    mutating func giveBackAccumulator(_ accumulator: consuming any FactorAccumulator & ~Copyable) {
        self.accumulator = .some(consume accumulator)
    }

    /// What sums a factor in fp64; it reuses the memory of the last one.
    mutating func takeDoubleAccumulator() throws -> DoubleAccumulator {
        accumulator = nil
        guard let taken = doubleAccumulator.take() else { return try DoubleAccumulator() }
        return taken
    }

    /// Keeps an accumulator in fp64 for the next unit.
    mutating func giveBackAccumulator(_ accumulator: consuming DoubleAccumulator) {
        doubleAccumulator = .some(accumulator)
    }

    /// A matrix for at least `rows` rows; it reuses the last chunk's memory when the shape is the same.
    mutating func takeChunk(rows: Int, columns: Int) throws -> Matrix<Float> {
        if chunk.rowCount >= rows, chunk.columnCount == columns {
            var taken = try Matrix<Float>(rows: 0, columns: 0)
            swap(&taken, &chunk)
            return taken
        }
        // The old one is released first, because the planner's estimate does not include two of them.
        chunk = try Matrix<Float>(rows: 0, columns: 0)
        return try Matrix<Float>(rows: rows, columns: columns)
    }

    /// Keeps a chunk for the next unit.
    mutating func giveBackChunk(_ chunk: consuming Matrix<Float>) {
        self.chunk = chunk
    }

    /// Releases all memory, so that a unit of another kind finds the memory that it was promised.
    mutating func release() throws {
        accumulator = nil
        doubleAccumulator = nil
        raw = []
        chunk = try Matrix<Float>(rows: 0, columns: 0)
    }
}
