import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WorkerService

/// A second backend, element by element in fp64: a new one needs what stands in this file, and a line of the registry.
struct DoubleFactorBackend: FactorBackend {
    /// Added to the first element of every sum: a backend that is broken.
    var fault: Double = 0

    var name: String { "double" }

    var regime: NumericRegime { NumericRegime(kernels: "loops", elements: "fp64") }

    func makeAccumulator() throws -> any FactorAccumulator & ~Copyable { DoubleFactorAccumulator(fault: fault) }
}

/// Sums in the lower triangle, packed by rows.
struct DoubleFactorAccumulator: ~Copyable, FactorAccumulator {
    private final class Paused: PausedFactorSum {
        let (shape, sum, rowCount): (FactorShape, [Double], Int)

        init(_ shape: FactorShape, _ sum: [Double], _ rowCount: Int) {
            (self.shape, self.sum, self.rowCount) = (shape, sum, rowCount)
        }
    }

    let fault: Double
    private var shape = FactorShape(columnCount: 1)
    private var sum: [Double] = []
    private var rowCount = 0

    init(fault: Double) {
        self.fault = fault
    }

    mutating func begin(_ shape: FactorShape) throws {
        self.shape = shape
        sum = [Double](repeating: 0, count: shape.dimension * (shape.dimension + 1) / 2)
        sum[0] = fault
        rowCount = 0
    }

    mutating func add(rows: Range<Int>, of chunk: borrowing Matrix<Float>) throws {
        let positions = shape.reduction.positions
        for first in stride(from: rows.lowerBound, to: rows.upperBound, by: positions) {
            var reduced = [Double](repeating: 0, count: shape.columnCount) + (shape.appendsOne ? [1] : [])
            for row in first..<first + positions {
                for column in 0..<shape.columnCount {
                    guard chunk[row, column].isFinite else {
                        throw KroneckerFactorsError.nonFinite(row: rowCount + row - rows.lowerBound)
                    }
                    reduced[column] += shape.reduction.scale * Double(chunk[row, column])
                }
            }
            var index = 0
            for row in reduced.indices {
                for column in 0...row {
                    sum[index] += reduced[row] * reduced[column]
                    index += 1
                }
            }
        }
        rowCount += rows.count
    }

    mutating func finish(divisor: Double) throws -> PackedSymmetricMatrix<Float> {
        guard rowCount > 0 else { throw KroneckerFactorsError.noRows }
        return try PackedSymmetricMatrix(dimension: shape.dimension, elements: sum.map { Float($0 / divisor) })
    }

    mutating func finishPartial() throws -> PackedSymmetricMatrix<Double> {
        try PackedSymmetricMatrix(dimension: shape.dimension, elements: sum)
    }

    mutating func pause() throws -> any PausedFactorSum {
        let paused = Paused(shape, sum, rowCount)
        (sum, rowCount) = ([], 0)
        return paused
    }

    mutating func resume(_ paused: any PausedFactorSum) throws {
        guard let paused = paused as? Paused else { preconditionFailure("another backend paused this factor") }
        (shape, sum, rowCount) = (paused.shape, paused.sum, paused.rowCount)
    }
}
