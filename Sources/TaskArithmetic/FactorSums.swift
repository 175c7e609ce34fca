import KroneckerFactors
import LinearAlgebra

/// Σ c_t X_t over one side's factors, or over full blocks: packed, in fp64.
struct FactorSum: ~Copyable, Sendable {
    private(set) var matrix: PackedSymmetricMatrix<Double>

    init(shape: SymmetricShape) throws(TaskArithmeticError) {
        matrix = try carryingErrors { () throws(LinearAlgebraError) in
            try PackedSymmetricMatrix<Double>(shape: shape)
        }
    }

    var dimension: Int { matrix.dimension }
    var scale: FactorScale { FactorScale(trace: matrix.trace, dimension: matrix.dimension) }

    mutating func add(
        _ factor: borrowing TaskFactor, times scale: Double
    ) throws(TaskArithmeticError) {
        do {
            try matrix.add(factor, times: scale)
        } catch {
            throw .linearAlgebra(error)
        }
    }

    mutating func multiply(by scale: Double) { matrix.multiply(by: scale) }

    mutating func multiplyOffDiagonal(by scale: Double) { matrix.multiplyOffDiagonal(by: scale) }

    /// The damped factorization of the sum.
    borrowing func factorized(
        damping: Double, ladder: DampingLadder
    ) throws(TaskArithmeticError) -> DampedFactorization {
        do {
            return try DampedFactorization(of: matrix, damping: damping, ladder: ladder)
        } catch {
            throw .kroneckerFactors(error)
        }
    }
}

/// The two sums of a merge under factors: the weighted mean M = Σ λ_t Δ_t, and the change that the factors make to M.
///
/// The factors may be on one side or on both.
struct MeanAndChange: ~Copyable, Sendable {
    private var mean: Matrix<Double>
    private var change: Matrix<Double>

    init(rows: Int, columns: Int) throws(TaskArithmeticError) {
        let mean = try Matrix<Double>.zeros(rows, columns)
        let change = try Matrix<Double>.zeros(rows, columns)
        self.mean = mean
        self.change = change
    }

    /// `M += λ Δ`.
    mutating func add(_ delta: borrowing Matrix<Double>, lambda: Double) throws(LinearAlgebraError) {
        try mean.add(delta, times: lambda)
    }

    /// Adds a matrix to the change.
    mutating func add(change other: borrowing Matrix<Double>) throws(LinearAlgebraError) {
        try change.add(other)
    }

    /// Adds `scale · Δ · factor` to the change, or `scale · factor · Δ` for the left side.
    mutating func add(
        _ factor: borrowing SymmetricOperand, on side: ProductSide, of delta: borrowing Matrix<Double>, scale: Double
    ) throws(LinearAlgebraError) {
        try change.addSymmetricProduct(factor, on: side, of: delta, scale: scale)
    }

    /// Subtracts the product of M and the factors' mean, with its damping if any, from the change.
    ///
    /// So the change does not count M itself.
    mutating func subtractMean(
        times factor: borrowing PackedSymmetricMatrix<Double>, damping: Double? = nil, on side: ProductSide
    ) throws(TaskArithmeticError) {
        do {
            var operand = try factor.operand()
            if let damping { operand.addToDiagonal(damping) }
            try change.addSymmetricProduct(operand, on: side, of: mean, scale: -1)
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// Solves for the change under a factor.
    mutating func solve(
        _ factor: borrowing DampedFactorization, on side: ProductSide
    ) throws(TaskArithmeticError) {
        try change.solve(factor, on: side)
    }

    /// Sets the change to 0 in pinned coordinates, so they keep M.
    mutating func clearPinned(_ factor: borrowing DampedFactorization, on side: ProductSide) {
        factor.clearPinned(in: &change, on: side)
    }

    /// Returns M plus the change.
    consuming func finish(healths: [FactorHealth]) throws(TaskArithmeticError) -> MergedBlock {
        let norms = try MergedNorms(adding: change, to: &mean)
        return MergedBlock(values: mean, healths: healths, norms: norms)
    }
}

extension Matrix where Scalar == Double {
    static func zeros(_ rows: Int, _ columns: Int) throws(TaskArithmeticError) -> Matrix<Double> {
        try carryingErrors { () throws(LinearAlgebraError) in try Matrix<Double>(rows: rows, columns: columns) }
    }

    /// Solves the linear system of the factor in place.
    mutating func solve(
        _ factor: borrowing DampedFactorization, on side: ProductSide
    ) throws(TaskArithmeticError) {
        do {
            try factor.solve(&self, on: side)
        } catch {
            throw .kroneckerFactors(error)
        }
    }
}
