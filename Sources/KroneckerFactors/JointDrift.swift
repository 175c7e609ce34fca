public import LinearAlgebra

/// One layer's part of a task vector's joint drift: X_sr = Σ_p v_{s,p}ᵀ Δ u_{r,p}, in fp64.
///
/// All inputs are added first, and then the gradients. A parameter outside layers is a layer of one position, whose
/// inputs are the constants of the rows.
///
/// Source: DESIGN section 2.2, joint form.
public struct JointDrift: ~Copyable {
    private let delta: Matrix<Double>
    private let positions: Int
    private let measuresInside: Bool
    /// Δ u_{r,p}, `[R, P · d_out]`.
    private var images: Matrix<Double>
    private var imageCount = 0
    /// The lower triangles of Σ Δ u (Δ u)ᵀ and of Σ v vᵀ, `[d_out, d_out]`; empty unless they are measured.
    private var imageGram: Matrix<Double>
    private var gradientGram: Matrix<Double>

    /// Begins with no rows.
    ///
    /// - Parameters:
    ///   - delta: Δ, `[d_out, d_in]`, the bias last.
    ///   - inputRank: R, the number of input rows.
    ///   - positions: P, of each row.
    ///   - measuresInside: Whether ``insidePenalty()`` is asked for.
    /// - Throws: `LinearAlgebraError.outOfMemory`.
    public init(
        of delta: consuming Matrix<Double>, inputRank: Int, positions: Int, measuresInside: Bool
    ) throws(LinearAlgebraError) {
        let outputs = delta.rowCount
        let order = measuresInside ? outputs : 0
        let images = try Matrix<Double>(rows: inputRank, columns: positions * outputs)
        let imageGram = try Matrix<Double>(rows: order, columns: order)
        let gradientGram = try Matrix<Double>(rows: order, columns: order)
        self.images = images
        self.imageGram = imageGram
        self.gradientGram = gradientGram
        self.delta = delta
        self.positions = positions
        self.measuresInside = measuresInside
    }

    /// Adds the next input rows.
    ///
    /// - Parameter inputs: Whole rows, `[rows · P, d_in]`.
    /// - Throws: `LinearAlgebraError.lengthMismatch` for rows of another length.
    public mutating func add(inputs: borrowing Matrix<Double>) throws(LinearAlgebraError) {
        var image = try Matrix<Double>(rows: inputs.rowCount, columns: delta.rowCount)
        try image.addProduct(inputs, .none, delta, .transposed)
        if measuresInside { try imageGram.addGramMatrix(of: image, .columns) }
        let places = imageCount..<imageCount + image.elementCount
        precondition(places.upperBound <= images.elementCount, "more input rows than the drift was made for")
        try images.withMutableSpan { (all: inout MutableSpan<Double>) throws(LinearAlgebraError) in
            var target = all._mutatingExtracting(places)
            try image.withSpan { (own: Span<Double>) throws(LinearAlgebraError) in
                try VectorOperations.add(own, to: &target)
            }
        }
        imageCount = places.upperBound
    }

    /// The rows of X that belong to the next gradient rows.
    ///
    /// - Parameter gradients: Whole rows, `[rows · P, d_out]`.
    /// - Returns: `[rows, R]`.
    /// - Throws: `LinearAlgebraError.lengthMismatch` for rows of another length.
    public mutating func products(
        with gradients: consuming Matrix<Double>
    ) throws(LinearAlgebraError) -> Matrix<Double> {
        if measuresInside { try gradientGram.addGramMatrix(of: gradients, .columns) }
        let rows = gradients.rowCount / positions
        let whole = try gradients.reshaped(rows: rows, columns: images.columnCount)
        var products = try Matrix<Double>(rows: rows, columns: images.rowCount)
        try products.addProduct(whole, .none, images, .transposed)
        return products
    }

    /// tr(B_in Δ A_in Δᵀ) with A_in = Σ u uᵀ / P and B_in = Σ v vᵀ: what the rows hold of the factors' penalty.
    ///
    /// - Parameter rowsPerSample: By what A is divided in place of P, if positions are pooled.
    /// - Returns: The trace, in fp64.
    /// - Throws: `LinearAlgebraError.dimensionExceedsBLAS`.
    public borrowing func insidePenalty(rowsPerSample: Double? = nil) throws(LinearAlgebraError) -> Double {
        precondition(measuresInside, "a drift measures what is inside only if it was asked to")
        let (order, divisor) = (imageGram.rowCount, rowsPerSample ?? Double(positions))
        return try imageGram.withSpan { (images: Span<Double>) throws(LinearAlgebraError) in
            try gradientGram.withSpan { (gradients: Span<Double>) throws(LinearAlgebraError) in
                var sum = 0.0
                for row in 0..<order {
                    let diagonal = row * order + row
                    let below = row * order..<diagonal
                    // An element below the diagonal stands for the one above it too.
                    sum += 2 * (try VectorOperations.dot(images.extracting(below), gradients.extracting(below)))
                    sum += images[diagonal] * gradients[diagonal]
                }
                return sum / divisor
            }
        }
    }

    /// Bytes of the vector, the images and the triangles, beside the rows.
    public static func memoryBytes(
        outputs: Int, inputs: Int, inputRank: Int, positions: Int, measuresInside: Bool
    ) -> UInt64 {
        let images = UInt64(inputRank).saturatingProduct(UInt64(positions)).saturatingProduct(UInt64(outputs))
        let order = UInt64(measuresInside ? outputs : 0)
        return UInt64(outputs).saturatingProduct(UInt64(inputs)).saturatingSum(images)
            .saturatingSum(order.saturatingProduct(order).saturatingProduct(2)).saturatingProduct(8)
    }
}
