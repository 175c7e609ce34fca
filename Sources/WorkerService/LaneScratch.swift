import KroneckerFactors
import LinearAlgebra

/// Memory that a lane keeps from unit to unit, and the time that its kernels took.
struct LaneScratch: ~Copyable, Sendable {
    /// Scratch of the factor products.
    var workspace: FactorWorkspace
    /// Bytes of rows that must be widened.
    var raw: [UInt8] = []
    /// Time in numeric kernels since it was last reset.
    var kernelTime: Duration = .zero
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
