public import LinearAlgebra

/// The system X·G = N of the methods that estimate a covariance from each task vector: G = Σ c_t E_tᵀE_t and
/// N = Σ c_t Δ_t E_tᵀE_t.
///
/// X minimises Σ c_t ‖(X − Δ_t)E_tᵀ‖²; each row of X is a problem of its own. It is solved for the vector X, never for
/// the parameters: where G is singular, X is 0 and the base stays. All in fp64.
///
/// G has the rank of all E_t together. If these have fewer rows than columns, the small side is used: with the rows
/// S = [√c_t E_t], G = SᵀS and N = N'S, so X = N'(SSᵀ)⁺S.
public struct CovarianceSystem: ~Copyable, Sendable {
    /// Whether the rows S are kept in place of G.
    private let isStacked: Bool
    /// The rows of the E_t that are in S.
    private var stackedCount = 0
    /// G, of which the lower triangle is valid; or S, `[models · rows, columns]`.
    private var covariance: Matrix<Double>
    /// N, `[rows, columns]`; or N', `[rows, models · rows]`.
    private var numerator: Matrix<Double>

    /// Empty sums for matrices of `[rows, columns]`.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(rows: Int, columns: Int, models: Int) throws(TaskArithmeticError) {
        isStacked = Self.isStacked(rows: rows, columns: columns, models: models)
        let side = isStacked ? rows * models : columns
        let covariance = try Matrix<Double>.zeros(side, columns)
        let numerator = try Matrix<Double>.zeros(rows, side)
        self.covariance = covariance
        self.numerator = numerator
    }

    static func isStacked(rows: Int, columns: Int, models: Int) -> Bool {
        let (side, overflow) = rows.multipliedReportingOverflow(by: models)
        return !overflow && side < columns
    }

    /// The smaller of the two sides.
    static func side(rows: Int, columns: Int, models: Int) -> Int {
        isStacked(rows: rows, columns: columns, models: models) ? rows * models : columns
    }

    /// Adds a task.
    ///
    /// - Parameters:
    ///   - delta: Δ_t, `[rows, columns]`.
    ///   - estimate: E_t, of the same shape.
    ///   - weight: A factor of Δ_t.
    ///   - scale: c_t ≥ 0.
    /// - Throws: ``TaskArithmeticError/unexpectedOperands(_:)`` for more tasks than the system is for, or
    ///   ``TaskArithmeticError/linearAlgebra(_:)`` for other shapes or short memory; the sums are then invalid.
    public mutating func add(
        _ delta: borrowing Matrix<Double>, estimate: borrowing Matrix<Double>, weight: Double, scale: Double
    ) throws(TaskArithmeticError) {
        do {
            if isStacked {
                guard stackedCount + estimate.rowCount <= covariance.rowCount else {
                    throw TaskArithmeticError.unexpectedOperands("more models than it was made for")
                }
                let root = scale.squareRoot()
                var product = try Matrix<Double>(rows: delta.rowCount, columns: estimate.rowCount)
                try product.addProduct(delta, .none, estimate, .transposed, scale: weight * root)
                numerator.copyColumns(of: product, to: stackedCount)
                covariance.copyRows(of: estimate, times: root, to: stackedCount)
                stackedCount += estimate.rowCount
            } else {
                var gram = try Matrix<Double>(rows: delta.columnCount, columns: delta.columnCount)
                try gram.addGramMatrix(of: estimate, .columns, scale: scale)
                try numerator.addSymmetricProduct(gram, on: .right, of: delta, scale: weight)
                try covariance.add(gram)
            }
        } catch let error as TaskArithmeticError {
            throw error
        } catch let error as LinearAlgebraError {
            throw .linearAlgebra(error)
        } catch {
            throw .unexpectedOperands("\(error)")
        }
    }

    /// N − X·G, times 2: the descent direction of Σ c_t ‖(X − Δ_t)E_tᵀ‖².
    ///
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` for another shape or short memory.
    public borrowing func descent(
        at point: borrowing Matrix<Double>
    ) throws(TaskArithmeticError) -> Matrix<Double> {
        try carryingErrors { () throws(LinearAlgebraError) in
            var result = try Matrix<Double>(rows: point.rowCount, columns: point.columnCount)
            guard isStacked else {
                try result.addSymmetricProduct(covariance, on: .right, of: point, scale: -2)
                try result.add(numerator, times: 2)
                return result
            }
            var inner = try Matrix<Double>(rows: point.rowCount, columns: covariance.rowCount)
            try inner.addProduct(point, .none, covariance, .transposed, scale: -1)
            try inner.add(numerator)
            try result.addProduct(inner, .none, covariance, .none, scale: 2)
            return result
        }
    }

    /// Solves X = N (G + εI)⁺.
    ///
    /// - Parameters:
    ///   - tolerance: Eigenvalues of G of at most this share of the largest count as 0; `nil` for columns · 2⁻⁵².
    ///   - ridge: ε as a share of the mean eigenvalue of G.
    /// - Returns: X, `[rows, columns]`, and the rank that was used.
    /// - Throws: ``TaskArithmeticError/linearAlgebra(_:)`` when memory is short or the decomposition fails; the sums
    ///   are gone.
    /// - Complexity: With s the smaller side, about 9s³ + 2·rows·s² multiply-adds, and rows·s·columns if S is kept.
    public consuming func solve(tolerance: Double?, ridge: Double) throws(TaskArithmeticError) -> MergedBlock {
        let (rows, columns) = (numerator.rowCount, covariance.columnCount)
        let isStacked = isStacked
        let numerator = numerator
        var covariance = covariance
        return try carryingErrors { () throws(LinearAlgebraError) in
            var square = try Matrix<Double>(rows: 0, columns: 0)
            if isStacked {
                square = try Matrix<Double>(rows: covariance.rowCount, columns: covariance.rowCount)
                try square.addGramMatrix(of: covariance, .rows)
            } else {
                swap(&square, &covariance)
            }
            var trace = 0.0
            for index in 0..<square.rowCount { trace += square[index, index] }
            let eigen = try SymmetricEigen(decomposing: square)
            let least = (tolerance ?? Double(columns) * .ulpOfOne) * max(0, eigen.values.last ?? 0)
            let damping = columns > 0 ? ridge * trace / Double(columns) : 0
            let inverses = eigen.values.map { $0 > least && $0 > 0 ? 1 / ($0 + damping) : 0 }
            var projected = try Matrix<Double>(rows: rows, columns: inverses.count)
            try projected.addProduct(numerator, .none, eigen.vectors, .transposed)
            try projected.multiply(byDiagonal: inverses, on: .right)
            var solution = try Matrix<Double>(rows: rows, columns: inverses.count)
            try solution.addProduct(projected, .none, eigen.vectors)
            if isStacked {
                var wide = try Matrix<Double>(rows: rows, columns: columns)
                try wide.addProduct(solution, .none, covariance)
                swap(&wide, &solution)
            }
            return MergedBlock(values: solution, solution: MergeSolution(rank: inverses.count { $0 > 0 }))
        }
    }

    /// The cost of the sums and of the solution, beside what a method keeps itself.
    ///
    /// The peak of memory holds G or S, N, and either a task's Gram matrix or the workspace of the eigenvectors, θ_0, a
    /// task vector and its estimate.
    static func cost(of shape: MergeProblem.Shape, models: Int) -> MergeCost {
        let (rows, columns) = (Double(shape.rows), Double(shape.columns))
        let isStacked = isStacked(rows: shape.rows, columns: shape.columns, models: models)
        let side = Double(side(rows: shape.rows, columns: shape.columns, models: models))
        let sums =
            isStacked
            ? rows * columns * rows * Double(models) + side * side * columns / 2
            : Double(models) * 1.5 * rows * columns * columns
        let solution = 9 * side * side * side + 2 * rows * side * side + (isStacked ? rows * side * columns : 0)
        let squares = isStacked ? side * columns + 3 * side * side : 3 * side * side
        return MergeCost(
            multiplyAdds: 2 * (sums + solution), numbers: squares + 3 * rows * side + 4 * rows * columns,
            factorPasses: 0, valuePasses: 1, stageMultiplyAdds: 2 * solution)
    }
}

extension Matrix where Scalar == Double {
    /// Copies all rows of a matrix of the same width, times a number, to a row and those below it.
    mutating func copyRows(of source: borrowing Matrix<Double>, times scale: Double = 1, to row: Int) {
        let start = row * columnCount
        withMutableSpan { target in
            source.withSpan { source in
                for index in source.indices { target[start + index] = scale * source[index] }
            }
        }
    }

    /// Copies all columns of a matrix of the same height to a column and those after it.
    mutating func copyColumns(of source: borrowing Matrix<Double>, to column: Int) {
        let (width, count, rows) = (columnCount, source.columnCount, source.rowCount)
        withMutableSpan { target in
            source.withSpan { source in
                for row in 0..<rows {
                    for index in 0..<count { target[row * width + column + index] = source[row * count + index] }
                }
            }
        }
    }
}
