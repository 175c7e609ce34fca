public import LinearAlgebra

/// The sum of ‖Σ_p g_p ã_pᵀ‖² over samples, with p over the rows of one sample.
///
/// Σ_p g_p ã_pᵀ is a sample's gradient of the layer's weight and bias, so the mean of the norms is the exact trace of
/// the layer's Gauss-Newton block. Source: DESIGN section 2.1.
///
/// The norm is Σ_pq ⟨ã_p, ã_q⟩⟨g_p, g_q⟩, from two Gram matrices of the rows, or the squares of the product itself:
/// what takes fewer multiply-adds. Products are fp32, and sums over products are fp64. A sample that does not fit the
/// buffers comes in several parts, whose products are added in fp64.
public struct SampleGradientNorms: SampleNormSum {
    /// Columns of an input row in ``inputs``: d_in, and the one of a bias.
    public let inputWidth: Int
    /// `[rows, inputWidth]`; the last column holds ones if one is appended, and callers leave it so.
    public var inputs: [Float]
    /// `[rows, d_out]`.
    public var gradients: [Float]
    /// The sum over the samples that have ended.
    public private(set) var total = 0.0

    private let gradientColumns: Int
    private let pairedRows: Int
    private var inputGram: [Float] = []
    private var gradientGram: [Float] = []
    private var product: [Float] = []
    /// The gradient of the sample that is not ended; empty unless there is one.
    private var open: [Double] = []

    /// An empty sum, with buffers for rows.
    ///
    /// - Parameters:
    ///   - inputColumns: d_in.
    ///   - appendsOne: Whether the layer has a bias.
    ///   - gradientColumns: d_out.
    ///   - capacity: The most rows that are added at once.
    public init(inputColumns: Int, appendsOne: Bool, gradientColumns: Int, capacity: Int) {
        let width = inputColumns + (appendsOne ? 1 : 0)
        inputWidth = width
        self.gradientColumns = gradientColumns
        pairedRows = Self.pairedRows(inputWidth: width, gradientColumns: gradientColumns)
        inputs = [Float](repeating: appendsOne ? 1 : 0, count: width * capacity)
        gradients = [Float](repeating: 0, count: gradientColumns * capacity)
    }

    /// The most rows of a sample for which the Gram matrices take fewer multiply-adds: R(d_in + d_out) ≤ d_in d_out.
    private static func pairedRows(inputWidth: Int, gradientColumns: Int) -> Int {
        max(1, inputWidth.saturatingProduct(gradientColumns) / inputWidth.saturatingSum(gradientColumns))
    }

    /// Multiply-adds for a sample.
    ///
    /// - Parameters:
    ///   - rows: Its rows.
    ///   - inputWidth: d_in, and the one of a bias.
    ///   - gradientColumns: d_out.
    /// - Returns: Those of the cheaper way.
    public static func multiplyAdds(rows: Int, inputWidth: Int, gradientColumns: Int) -> Double {
        let (rows, input, gradient) = (Double(rows), Double(inputWidth), Double(gradientColumns))
        return rows * min(rows * (input + gradient), input * gradient)
    }

    /// Bytes of the buffers and of what a sample needs besides them.
    ///
    /// - Parameters:
    ///   - sampleRows: The most rows of a sample.
    ///   - capacity: The most rows that are added at once.
    ///   - inputWidth: d_in, and the one of a bias.
    ///   - gradientColumns: d_out.
    /// - Returns: The most bytes.
    public static func memoryBytes(
        sampleRows: Int, capacity: Int, inputWidth: Int, gradientColumns: Int
    ) -> UInt64 {
        let (input, gradient) = (UInt64(inputWidth), UInt64(gradientColumns))
        let paired = pairedRows(inputWidth: inputWidth, gradientColumns: gradientColumns)
        let grams = UInt64(min(sampleRows, capacity, paired))
        var bytes = input.saturatingSum(gradient).saturatingProduct(UInt64(capacity)).saturatingProduct(4)
            .saturatingSum(grams.saturatingProduct(grams).saturatingProduct(8))
        let elements = input.saturatingProduct(gradient)
        if sampleRows > min(paired, capacity) { bytes = bytes.saturatingSum(elements.saturatingProduct(4)) }
        if sampleRows > capacity { bytes = bytes.saturatingSum(elements.saturatingProduct(8)) }
        return bytes
    }

    /// Adds rows of one sample, which are in the buffers.
    ///
    /// - Parameters:
    ///   - rows: Their positions in the buffers.
    ///   - endsSample: Whether no later rows belong to the same sample.
    /// - Throws: `LinearAlgebraError` for matrices beyond the BLAS.
    public mutating func add(rows: Range<Int>, endsSample: Bool) throws(LinearAlgebraError) {
        if open.isEmpty, endsSample {
            if rows.count == 1 { return try addRow(rows.lowerBound) }
            if rows.count <= pairedRows { return try addPairs(rows) }
        }
        multiply(rows)
        guard !open.isEmpty || !endsSample else {
            let norm = try VectorOperations.dot(product.span, product.span)
            total += norm
            return
        }
        if open.isEmpty { open = [Double](repeating: 0, count: product.count) }
        try Self.add(product, to: &open)
        guard endsSample else { return }
        let norm = try VectorOperations.dot(open.span, open.span)
        total += norm
        open = []
    }

    /// Adds a sample of one row, whose norm is the product of the rows' norms.
    private mutating func addRow(_ row: Int) throws(LinearAlgebraError) {
        let input = try Self.squaredNorm(inputs, row, columns: inputWidth)
        total += try input * Self.squaredNorm(gradients, row, columns: gradientColumns)
    }

    private mutating func addPairs(_ rows: Range<Int>) throws(LinearAlgebraError) {
        let (count, square) = (rows.count, MatrixBlock(rows: rows.count, columns: rows.count))
        if inputGram.count < count * count {
            inputGram = [Float](repeating: 0, count: count * count)
            gradientGram = inputGram
        }
        let input = block(rows, inputWidth)
        BlockProduct.multiply(inputs, input, .none, inputs, input, .transposed, into: &inputGram, square)
        let gradient = block(rows, gradientColumns)
        BlockProduct.multiply(
            gradients, gradient, .none, gradients, gradient, .transposed, into: &gradientGram, square)
        let norm = try VectorOperations.dot(
            inputGram.span.extracting(first: count * count), gradientGram.span.extracting(first: count * count))
        total += norm
    }

    /// The product Σ g_p ã_pᵀ of some rows.
    private mutating func multiply(_ rows: Range<Int>) {
        let elements = gradientColumns * inputWidth
        if product.count < elements { product = [Float](repeating: 0, count: elements) }
        BlockProduct.multiply(
            gradients, block(rows, gradientColumns), .transposed, inputs, block(rows, inputWidth), .none,
            into: &product, MatrixBlock(rows: gradientColumns, columns: inputWidth))
    }

    private static func squaredNorm(_ rows: [Float], _ row: Int, columns: Int) throws(LinearAlgebraError) -> Double {
        let elements = rows.span.extracting(row * columns..<(row + 1) * columns)
        return try VectorOperations.dot(elements, elements)
    }

    private static func add(_ values: [Float], to sums: inout [Double]) throws(LinearAlgebraError) {
        var span = sums.mutableSpan
        try VectorOperations.add(values.span, to: &span)
    }

    private func block(_ rows: Range<Int>, _ columns: Int) -> MatrixBlock {
        MatrixBlock(rows: rows.count, columns: columns, offset: rows.lowerBound * columns)
    }
}
