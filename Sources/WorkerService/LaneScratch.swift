import KroneckerFactors
import LinearAlgebra

/// The kinds of numeric kernels whose time is counted.
enum NumericKernel: String, CaseIterable, Hashable {
    /// Rows → a factor: the symmetric rank-k update and the sum of its chunks.
    case rankUpdate = "rank_update"
    /// A factor → its damped inverse, with every factorization that was tried.
    case inverse
    /// Factors times task vectors.
    case product
    /// A damped system → a merged block, with every factorization that was tried.
    case solve
}

/// What a unit's kernels took and met, for the metrics.
struct KernelNotes {
    /// Time by kind.
    private(set) var times: [NumericKernel: Duration] = [:]
    /// What was added to a diagonal in the end, as a multiple of what was asked for; nothing for matrices that were to
    /// be inverted without damping.
    private(set) var dampingRatios: [Double] = []

    /// Time in all kernels.
    var time: Duration { times.values.reduce(.zero, +) }

    /// Adds the time since `start`.
    mutating func note(_ kernel: NumericKernel, since start: ContinuousClock.Instant) {
        times[kernel, default: .zero] += ContinuousClock.now - start
    }

    /// Adds how a matrix was damped.
    mutating func note(_ health: FactorHealth) {
        guard health.requestedDamping > 0 else { return }
        dampingRatios.append(health.damping / health.requestedDamping)
    }
}

/// Memory that a lane keeps from unit to unit, and what its kernels took.
struct LaneScratch: ~Copyable, Sendable {
    /// Scratch of the factor products.
    var workspace: FactorWorkspace
    /// Bytes of rows that must be widened.
    var raw: [UInt8] = []
    /// What the kernels of the unit at hand took and met.
    var kernels = KernelNotes()
    private var chunk: Matrix<Float>

    /// Begins with nothing.
    init() throws {
        let workspace = try FactorWorkspace()
        let chunk = try Matrix<Float>(rows: 0, columns: 0)
        self.workspace = workspace
        self.chunk = chunk
    }

    /// A matrix for at least `rows` rows; its memory is that of the last chunk when the shape is the same.
    mutating func takeChunk(rows: Int, columns: Int) throws -> Matrix<Float> {
        if chunk.rowCount >= rows, chunk.columnCount == columns {
            var taken = try Matrix<Float>(rows: 0, columns: 0)
            swap(&taken, &chunk)
            return taken
        }
        // Release the old one first: two of them would not be in the planner's estimate.
        chunk = try Matrix<Float>(rows: 0, columns: 0)
        return try Matrix<Float>(rows: rows, columns: columns)
    }

    /// Keeps a chunk for the next unit.
    mutating func giveBackChunk(_ chunk: consuming Matrix<Float>) {
        self.chunk = chunk
    }

    /// Lets go of everything, so that a unit of another kind finds the memory that it was promised.
    mutating func release() throws {
        workspace = try FactorWorkspace()
        raw = []
        chunk = try Matrix<Float>(rows: 0, columns: 0)
    }
}
