public import LinearAlgebra

/// One layer's image of joint products: Σ_rs X_sr Σ_p v_{s,p} u_{r,p}ᵀ, in fp64.
///
/// It is the adjoint of ``JointDrift``. With X of Δ it is half the gradient of Σ X_sr². All gradients are added first,
/// and then the inputs. A parameter outside layers is a layer of one position, whose inputs are the constants of the
/// rows.
///
/// Source: DESIGN section 2.2, joint form.
public struct JointGradient: ~Copyable {
    private let outputs: Int
    private let positions: Int
    /// Σ_s X_sr v_{s,p}, `[R, P · d_out]`.
    private var combinations: Matrix<Double>
    private var inputCount = 0

    /// Begins with no rows.
    ///
    /// - Parameters:
    ///   - outputs: d_out.
    ///   - inputRank: R, the number of input rows.
    ///   - positions: P, of each row.
    /// - Throws: `LinearAlgebraError.outOfMemory`.
    public init(outputs: Int, inputRank: Int, positions: Int) throws(LinearAlgebraError) {
        combinations = try Matrix<Double>(rows: inputRank, columns: positions * outputs)
        self.outputs = outputs
        self.positions = positions
    }

    /// Adds the next gradient rows.
    ///
    /// - Parameters:
    ///   - gradients: Whole rows, `[rows · P, d_out]`.
    ///   - products: Their rows of X, `[rows, R]`.
    /// - Throws: `LinearAlgebraError.lengthMismatch` for rows of another length or number.
    public mutating func add(
        gradients: consuming Matrix<Double>, products: borrowing Matrix<Double>
    ) throws(LinearAlgebraError) {
        let whole = try gradients.reshaped(rows: products.rowCount, columns: positions * outputs)
        try combinations.addProduct(products, .transposed, whole)
    }

    /// Adds the next input rows' part of the image to a sum.
    ///
    /// - Parameters:
    ///   - inputs: Whole rows, `[rows · P, d_in]`.
    ///   - sum: `[d_out, d_in]`.
    ///   - scale: What the part is multiplied by.
    /// - Throws: `LinearAlgebraError.lengthMismatch` for rows of another length.
    public mutating func add(
        inputs: borrowing Matrix<Double>, to sum: inout Matrix<Double>, scale: Double
    ) throws(LinearAlgebraError) {
        let places = inputCount..<inputCount + inputs.rowCount * outputs
        precondition(places.upperBound <= combinations.elementCount, "more input rows than the image was made for")
        var part = try Matrix<Double>(rows: inputs.rowCount, columns: outputs)
        try combinations.withSpan { (all: Span<Double>) throws(LinearAlgebraError) in
            try part.withMutableSpan { (own: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                try VectorOperations.add(all.extracting(places), times: 1, to: &own)
            }
        }
        try sum.addProduct(part, .transposed, inputs, scale: scale)
        inputCount = places.upperBound
    }
}
