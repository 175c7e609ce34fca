public import LinearAlgebra

/// What the joint rows of a layer hold of its factors: A_in = Σ_r Σ_p u uᵀ / P and B_in = Σ_s Σ_p v vᵀ, in fp64.
///
/// The complement of the joint form is B ⊗ A − B_in ⊗ A_in.
///
/// Source: DESIGN section 2.2, joint form.
public struct JointRowFactors: ~Copyable {
    /// The lower triangles of Σ u uᵀ, `[d_in, d_in]`, and of Σ v vᵀ, `[d_out, d_out]`.
    private var inputs: Matrix<Double>
    private var gradients: Matrix<Double>

    /// Begins with no rows.
    /// - Throws: `LinearAlgebraError.outOfMemory`.
    public init(outputs: Int, inputs: Int) throws(LinearAlgebraError) {
        let inputGram = try Matrix<Double>(rows: inputs, columns: inputs)
        let gradientGram = try Matrix<Double>(rows: outputs, columns: outputs)
        self.inputs = inputGram
        self.gradients = gradientGram
    }

    /// Adds input rows, `[rows · P, d_in]`.
    /// - Throws: `LinearAlgebraError.lengthMismatch` for rows of another length.
    public mutating func add(inputs rows: borrowing Matrix<Double>) throws(LinearAlgebraError) {
        try inputs.addGramMatrix(of: rows, .columns)
    }

    /// Adds gradient rows, `[rows · P, d_out]`.
    /// - Throws: `LinearAlgebraError.lengthMismatch` for rows of another length.
    public mutating func add(gradients rows: borrowing Matrix<Double>) throws(LinearAlgebraError) {
        try gradients.addGramMatrix(of: rows, .columns)
    }

    /// `sum += scale · B_in Δ A_in`.
    ///
    /// - Parameters:
    ///   - delta: Δ, `[d_out, d_in]`.
    ///   - rowsPerSample: By what A_in is divided: P, or the mean rows of a sample if positions are pooled.
    ///   - scale: What the image is multiplied by.
    ///   - sum: `[d_out, d_in]`.
    /// - Throws: `LinearAlgebraError.lengthMismatch` for matrices of other shapes.
    public borrowing func addImage(
        of delta: borrowing Matrix<Double>, rowsPerSample: Double, scale: Double, to sum: inout Matrix<Double>
    ) throws(LinearAlgebraError) {
        var product = try Matrix<Double>(rows: delta.rowCount, columns: delta.columnCount)
        try product.addSymmetricProduct(gradients, on: .left, of: delta)
        try sum.addSymmetricProduct(inputs, on: .right, of: product, scale: scale / rowsPerSample)
    }

    /// Bytes of both triangles, and of a product.
    public static func memoryBytes(outputs: Int, inputs: Int) -> UInt64 {
        let (outputs, inputs) = (UInt64(outputs), UInt64(inputs))
        return outputs.saturatingProduct(outputs).saturatingSum(inputs.saturatingProduct(inputs))
            .saturatingSum(outputs.saturatingProduct(inputs)).saturatingProduct(8)
    }
}
