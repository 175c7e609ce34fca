import KroneckerFactors
import LinearAlgebra

/// The sums of squares of a factor of which only the diagonal is made, with every backend.
struct DiagonalFactorAccumulator: ~Copyable, FactorAccumulator {
    private var sum: DiagonalAccumulation?

    init() { sum = nil }

    mutating func begin(_ shape: FactorShape) throws {
        sum = try DiagonalAccumulation(
            columnCount: shape.columnCount, appendsOne: shape.appendsOne, reduction: shape.reduction)
    }

    mutating func add(rows: Range<Int>, of chunk: borrowing Matrix<Float>) throws {
        precondition(sum != nil, "rows are added before a factor is begun")
        try sum?.add(rows: rows, of: chunk)
    }

    mutating func finish(divisor: Double) throws -> PackedSymmetricMatrix<Float> {
        guard let sum = sum.take() else { throw KroneckerFactorsError.noRows }
        return try sum.finish(divisor: divisor)
    }

    mutating func finishPartial() throws -> PackedSymmetricMatrix<Double> {
        guard let sum = sum.take() else { throw KroneckerFactorsError.noRows }
        return sum.finishPartial()
    }

    mutating func pause() throws -> any PausedFactorSum {
        precondition(sum != nil, "a factor is paused before one is begun")
        return HeldFactorSum(sum.take())
    }

    mutating func resume(_ paused: any PausedFactorSum) throws {
        sum = HeldFactorSum<DiagonalAccumulation>.take(from: paused)
    }
}
