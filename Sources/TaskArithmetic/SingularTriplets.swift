import LinearAlgebra

/// Singular triplets of several matrices beside each other: Û with their left vectors, V̂ with the right ones, and their
/// values.
///
/// Vectors of different matrices are not orthogonal to each other. ``merged()`` makes them so: polar(Û) Ŝ polar(V̂)ᵀ.
struct SingularTriplets: ~Copyable, Sendable {
    /// A row for each left vector, `[capacity, rows]`; rows that are not filled are 0.
    private(set) var left: Matrix<Double>
    /// A row for each right vector, `[capacity, columns]`.
    private(set) var right: Matrix<Double>
    /// Their values.
    private(set) var values: [Double] = []

    /// Places for some triplets of matrices of `[rows, columns]`.
    init(rows: Int, columns: Int, capacity: Int) throws(TaskArithmeticError) {
        let left = try Matrix<Double>.zeros(capacity, rows)
        let right = try Matrix<Double>.zeros(capacity, columns)
        self.left = left
        self.right = right
    }

    /// Adds the leading triplets of a matrix, except those of values that rounding alone can make.
    ///
    /// - Parameters:
    ///   - matrix: Decomposed.
    ///   - count: The most triplets to add; no more than there is room for are added.
    ///   - tolerance: Triplets of values below this share of the largest are left out too.
    ///   - reference: The largest value, if the matrix is only a part of what has it.
    /// - Returns: All its singular values.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short or the decomposition fails.
    @discardableResult
    mutating func add(
        leadingOf matrix: consuming Matrix<Double>, count: Int, tolerance: Double = 0, reference: Double = 0
    ) throws(TaskArithmeticError) -> [Double] {
        let (rows, columns) = (matrix.rowCount, matrix.columnCount)
        do {
            let parts = try SingularValueDecomposition(decomposing: matrix)
            let largest = parts.values.first ?? 0
            let (rounding, least) = (
                Double(max(rows, columns)) * .ulpOfOne * largest, tolerance * max(largest, reference)
            )
            let significant = parts.values.count { $0 > rounding && $0 >= least }
            let kept = min(count, left.rowCount - values.count, significant)
            let vectors = try parts.left.prefix(columns: kept).transposed()
            left.copyRows(of: vectors, to: values.count)
            right.copyRows(of: try parts.right.prefix(kept), to: values.count)
            values += parts.values.prefix(kept)
            return parts.values
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// Sets all values.
    mutating func setValues(_ value: Double) {
        for index in values.indices { values[index] = value }
    }

    /// polar(Û) Ŝ polar(V̂)ᵀ.
    ///
    /// - Parameter raised: The values that these replace, for the solution.
    /// - Returns: The matrix, with the smaller rank of Û and V̂.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short or a decomposition fails.
    consuming func merged(raised: [Double] = []) throws(TaskArithmeticError) -> MergedBlock {
        let weights = weights
        do {
            let leftFactor = try left.polarFactor()
            let rightFactor = try right.polarFactor()
            let rank = min(leftFactor.rank, rightFactor.rank)
            return MergedBlock(
                values: try Self.product(leftFactor.matrix, weights, rightFactor.matrix),
                solution: MergeSolution(rank: rank, raisedValues: raised))
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// Û Ŝ V̂ᵀ, of the triplets of one matrix, which are orthogonal.
    ///
    /// - Parameter raised: The values that these replace, for the solution.
    /// - Returns: The matrix, with the number of triplets.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short.
    consuming func product(raised: [Double] = []) throws(TaskArithmeticError) -> MergedBlock {
        let (weights, rank) = (weights, values.count)
        do {
            return MergedBlock(
                values: try Self.product(left, weights, right),
                solution: MergeSolution(rank: rank, raisedValues: raised))
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// A value for each row, 0 for those that are not filled.
    private var weights: [Double] { values + [Double](repeating: 0, count: left.rowCount - values.count) }

    private static func product(
        _ left: consuming Matrix<Double>, _ weights: [Double], _ right: borrowing Matrix<Double>
    ) throws(LinearAlgebraError) -> Matrix<Double> {
        var result = try Matrix<Double>(rows: left.columnCount, columns: right.columnCount)
        try left.multiply(byDiagonal: weights, on: .left)
        try result.addProduct(left, .transposed, right)
        return result
    }

    /// Multiply-adds and numbers of a decomposition, its matrix included; those of fp64 count double.
    static func decompositionCost(rows: Int, columns: Int) -> (multiplyAdds: Double, numbers: Double) {
        let least = Double(min(rows, columns))
        return (
            2 * (3 * Double(rows) * Double(columns) * least + 10 * least * least * least),
            Double(SingularValueDecomposition<Double>.byteCount(rows: rows, columns: columns)) / 8
        )
    }

    /// The cost of a merge that decomposes some matrices of a shape, and then the vectors of `capacity` triplets.
    ///
    /// The peak of memory holds θ_0, the triplets, and either a decomposition with one more matrix, or both polar
    /// factors with one of their decompositions.
    static func cost(of shape: MergeProblem.Shape, decompositions: Int, capacity: Int, valuePasses: Int) -> MergeCost {
        let (rows, columns) = (shape.rows, shape.columns)
        let whole = decompositionCost(rows: rows, columns: columns)
        let polars = [rows, columns].map { decompositionCost(rows: capacity, columns: $0) }
        let elements = Double(rows) * Double(columns)
        let vectors = Double(capacity) * Double(rows + columns)
        let products = 2 * (Double(capacity) * elements + Double(min(capacity, rows)) * vectors)
        let polarPeak = polars.reduce(0) { max($0, $1.numbers) } + vectors
        return MergeCost(
            multiplyAdds: Double(decompositions) * whole.multiplyAdds
                + polars.reduce(products) { $0 + $1.multiplyAdds },
            numbers: 2 * elements + vectors + max(whole.numbers + elements, polarPeak),
            factorPasses: 0, valuePasses: valuePasses,
            stageMultiplyAdds: max(whole.multiplyAdds, polars.reduce(products) { $0 + $1.multiplyAdds }))
    }
}
