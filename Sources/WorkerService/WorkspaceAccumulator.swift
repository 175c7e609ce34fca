import KroneckerFactors
import LinearAlgebra
import UnitOperations

/// `FactorAccumulation` with the scratch that a lane keeps: the accumulator of backends on the machine's cores.
struct WorkspaceAccumulator: ~Copyable, FactorAccumulator {
    private var workspace: FactorWorkspace<Float>
    private var sum: FactorAccumulation?
    /// The memory of the last sum.
    private var memory: PackedSymmetricMatrix<Double>

    init(_ arithmetic: ProductArithmetic) throws(KroneckerFactorsError) {
        let workspace = try FactorWorkspace(arithmetic)
        let memory = try Self.empty()
        self.workspace = workspace
        self.memory = memory
        sum = nil
    }

    mutating func begin(_ shape: FactorShape) throws {
        // The old one is released first, because the planner's estimate does not include two of them.
        sum = nil
        var taken = try Self.empty()
        swap(&taken, &memory)
        sum = try FactorAccumulation(
            columnCount: shape.columnCount, appendsOne: shape.appendsOne, reduction: shape.reduction, reusing: taken)
    }

    private static func empty() throws(KroneckerFactorsError) -> PackedSymmetricMatrix<Double> {
        do throws(LinearAlgebraError) { return try PackedSymmetricMatrix(dimension: 0) } catch {
            throw .linearAlgebra(error)
        }
    }

    mutating func add(rows: Range<Int>, of chunk: borrowing Matrix<Float>) throws {
        precondition(sum != nil, "rows are added before a factor is begun")
        try sum?.add(rows: rows, of: chunk, workspace: &workspace)
    }

    mutating func finish(divisor: Double) throws -> PackedSymmetricMatrix<Float> {
        guard let sum = sum.take() else { throw KroneckerFactorsError.noRows }
        return try sum.finish(divisor: divisor, keeping: &memory)
    }

    mutating func finishPartial() throws -> PackedSymmetricMatrix<Double> {
        guard let sum = sum.take() else { throw KroneckerFactorsError.noRows }
        try sum.requireSquares()
        return sum.finishPartial()
    }

    mutating func pause() throws -> any PausedFactorSum {
        precondition(sum != nil, "a factor is paused before one is begun")
        return HeldFactorSum(sum.take())
    }

    mutating func resume(_ paused: any PausedFactorSum) throws {
        sum = nil
        memory = try Self.empty()
        sum = HeldFactorSum<FactorAccumulation>.take(from: paused)
    }
}
