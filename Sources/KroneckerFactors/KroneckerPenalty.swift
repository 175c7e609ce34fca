public import LinearAlgebra

/// The quadratic form of one layer, Ω(Δ) = tr(B Δ A Δᵀ), and its gradient 2BΔA, in fp64.
///
/// Source: eq. 8 for the accumulated factors. With one task's own factors it is ‖JΔ‖² under that task's K-FAC, which is
/// also an entry of the interference matrix. With row-major vec(W) the matrix of the form is B ⊗ A.
public struct KroneckerPenalty: ~Copyable, Sendable {
    private let input: SymmetricOperand
    private let gradient: SymmetricOperand

    /// Unpacks both factors to fp64.
    ///
    /// - Parameters:
    ///   - inputFactor: A, of dimension d_in, or d_in + 1 with the bias last.
    ///   - gradientFactor: B, of dimension d_out.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when memory is short.
    public init(
        inputFactor: borrowing PackedSymmetricMatrix<Float>,
        gradientFactor: borrowing PackedSymmetricMatrix<Float>
    ) throws(KroneckerFactorsError) {
        let input = try carryingErrors { () throws(LinearAlgebraError) in try inputFactor.operand() }
        let gradient = try carryingErrors { () throws(LinearAlgebraError) in try gradientFactor.operand() }
        self.input = input
        self.gradient = gradient
    }

    /// Ω(Δ) = tr(B Δ A Δᵀ).
    ///
    /// - Parameter delta: Δ = [ΔW, Δb], `[d_out, d_in]` or `[d_out, d_in + 1]`.
    /// - Returns: A number of at least 0, up to rounding.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when Δ does not have the factors' shape.
    /// - Complexity: d_out·d_in·(d_out + d_in) multiply-adds, of a diagonal side only d_out·d_in; two matrices of Δ's
    ///   shape.
    public func value(of delta: borrowing Matrix<Double>) throws(KroneckerFactorsError) -> Double {
        do {
            return try delta.dot(try product(with: delta, scale: 1))
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// BΔA, whose inner product with another vector Δ' is the bilinear form tr(B Δ' A Δᵀ).
    ///
    /// - Parameter delta: Δ, as in ``value(of:)``.
    /// - Returns: The product, of Δ's shape.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when Δ does not have the factors' shape.
    public func product(with delta: borrowing Matrix<Double>) throws(KroneckerFactorsError) -> Matrix<Double> {
        do {
            return try product(with: delta, scale: 1)
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// ∂Ω/∂Δ = 2BΔA.
    ///
    /// - Parameter delta: Δ, as in ``value(of:)``.
    /// - Returns: The gradient, of Δ's shape.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when Δ does not have the factors' shape.
    public func gradient(at delta: borrowing Matrix<Double>) throws(KroneckerFactorsError) -> Matrix<Double> {
        do {
            return try product(with: delta, scale: 2)
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// `scale · BΔA`.
    private func product(
        with delta: borrowing Matrix<Double>,
        scale: Double
    ) throws(LinearAlgebraError) -> Matrix<Double> {
        var left = try Matrix<Double>(rows: delta.rowCount, columns: delta.columnCount)
        try left.addSymmetricProduct(gradient, on: .left, of: delta, scale: scale)
        var both = try Matrix<Double>(rows: delta.rowCount, columns: delta.columnCount)
        try both.addSymmetricProduct(input, on: .right, of: left)
        return both
    }
}

/// The quadratic form of a one-dimensional parameter, Ω(δ) = δᵀFδ, and its gradient 2Fδ, in fp64.
public struct FullBlockPenalty: ~Copyable, Sendable {
    private let block: SymmetricOperand

    /// Unpacks the full block to fp64.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when memory is short.
    public init(block: borrowing PackedSymmetricMatrix<Float>) throws(KroneckerFactorsError) {
        self.block = try carryingErrors { () throws(LinearAlgebraError) in try block.operand() }
    }

    /// Ω(δ) = δᵀFδ.
    ///
    /// - Parameter delta: δ, `[d]`.
    /// - Returns: A number of at least 0, up to rounding.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when δ does not have the block's dimension.
    public func value(of delta: [Double]) throws(KroneckerFactorsError) -> Double {
        zip(delta, try product(with: delta)).reduce(0) { $0 + $1.0 * $1.1 }
    }

    /// Fδ, whose inner product with another vector δ' is the bilinear form δ'ᵀFδ.
    ///
    /// - Parameter delta: δ, `[1, d]`.
    /// - Returns: The product, `[1, d]`.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when δ does not have the block's dimension.
    public func product(with delta: borrowing Matrix<Double>) throws(KroneckerFactorsError) -> Matrix<Double> {
        do {
            var product = try Matrix<Double>(rows: 1, columns: delta.columnCount)
            try product.addSymmetricProduct(block, on: .right, of: delta)
            return product
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// ∂Ω/∂δ = 2Fδ.
    ///
    /// - Parameter delta: δ, `[d]`.
    /// - Returns: The gradient, `[d]`.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when δ does not have the block's dimension.
    public func gradient(at delta: [Double]) throws(KroneckerFactorsError) -> [Double] {
        try product(with: delta).map { 2 * $0 }
    }

    private func product(with delta: [Double]) throws(KroneckerFactorsError) -> [Double] {
        let row = try carryingErrors { () throws(LinearAlgebraError) in
            try Matrix<Double>(rows: 1, columns: delta.count, elements: delta)
        }
        return try product(with: row).elements
    }
}
