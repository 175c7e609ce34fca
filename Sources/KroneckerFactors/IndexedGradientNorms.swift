public import LinearAlgebra

/// The sum of ‖Σ_p g_p ã_pᵀ‖² over samples, for input rows that are indices.
///
/// A row of index i is the unit vector e_i. So a sample's gradient has a row for each of its indices, the sum of the
/// gradients there, and one more with the sum of all for a bias. Source: DESIGN section 2.1.
public struct IndexedGradientNorms: SampleNormSum {
    /// The index of each row.
    public var indices: [Int]
    /// `[rows, d_out]`.
    public var gradients: [Float]
    /// The sum over the samples that have ended.
    public private(set) var total = 0.0

    private let appendsOne: Bool
    private let columns: Int
    /// The places of the open sample's indices in `sums`, in the order in which they came.
    private var places: [Int: Int] = [:]
    /// `[indices of the open sample, d_out]`.
    private var sums: [Double] = []

    /// An empty sum, with buffers for rows.
    ///
    /// - Parameters:
    ///   - appendsOne: Whether the layer has a bias.
    ///   - gradientColumns: d_out.
    ///   - capacity: The most rows that are added at once.
    public init(appendsOne: Bool, gradientColumns: Int, capacity: Int) {
        self.appendsOne = appendsOne
        columns = gradientColumns
        indices = [Int](repeating: 0, count: capacity)
        gradients = [Float](repeating: 0, count: gradientColumns * capacity)
    }

    /// Bytes of the buffers, and of the sums of one sample.
    ///
    /// - Parameters:
    ///   - sampleRows: The most rows of a sample.
    ///   - capacity: The most rows that are added at once.
    ///   - gradientColumns: d_out.
    /// - Returns: The most bytes.
    public static func memoryBytes(sampleRows: Int, capacity: Int, gradientColumns: Int) -> UInt64 {
        let columns = UInt64(gradientColumns)
        return columns.saturatingProduct(4).saturatingSum(8).saturatingProduct(UInt64(capacity))
            // A growing array is copied into one of twice its size.
            .saturatingSum(UInt64(sampleRows).saturatingProduct(columns.saturatingProduct(24).saturatingSum(48)))
    }

    /// Adds rows of one sample, which are in the buffers.
    ///
    /// - Parameters:
    ///   - rows: Their positions in the buffers.
    ///   - endsSample: Whether no later rows belong to the same sample.
    /// - Throws: `LinearAlgebraError`, though these sums need no BLAS.
    public mutating func add(rows: Range<Int>, endsSample: Bool) throws(LinearAlgebraError) {
        for row in rows {
            let next = places.count
            let place = places[indices[row], default: next]
            if place == next {
                places[indices[row]] = next
                sums.append(contentsOf: repeatElement(0, count: columns))
            }
            try Self.add(gradients, row, to: &sums, place, columns)
        }
        if endsSample { try end() }
    }

    private mutating func end() throws(LinearAlgebraError) {
        let norm = try VectorOperations.dot(sums.span, sums.span)
        total += norm
        if appendsOne {
            var sum = [Double](repeating: 0, count: columns)
            for place in 0..<places.count {
                try Self.add(sums, place, to: &sum, 0, columns)
            }
            let ofOnes = try VectorOperations.dot(sum.span, sum.span)
            total += ofOnes
        }
        places.removeAll(keepingCapacity: true)
        sums.removeAll(keepingCapacity: true)
    }

    /// Adds a row of one matrix to a row of another.
    private static func add<Scalar: MatrixScalar>(
        _ values: [Scalar], _ row: Int, to sums: inout [Double], _ place: Int, _ columns: Int
    ) throws(LinearAlgebraError) {
        var all = sums.mutableSpan
        var sum = all._mutatingExtracting(place * columns..<(place + 1) * columns)
        try VectorOperations.add(values.span.extracting(row * columns..<(row + 1) * columns), to: &sum)
    }
}
