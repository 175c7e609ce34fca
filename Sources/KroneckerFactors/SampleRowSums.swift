public import LinearAlgebra

/// Makes one row of the rows of each sample: ā, their mean, or ḡ, their sum.
///
/// It serves samples with different numbers of rows; samples with equally many are reduced by ``FactorAccumulation``.
/// A sample may be longer than a chunk: its sum stays open until its last row. Sums are fp64, and rounded once to the
/// precision of the rows.
///
/// Source: DESIGN section 2.1, `reduce`.
public struct SampleRowSums<Scalar: MatrixScalar>: ~Copyable, Sendable {
    /// Whether a sample's rows are averaged rather than summed.
    public let isMean: Bool
    /// `[capacity, d]`; the first ``count`` rows are those of complete samples.
    public private(set) var rows: Matrix<Scalar>
    /// Complete samples since the last ``removeAll()``.
    public private(set) var count = 0
    private var sum: Matrix<Double>
    private var openRowCount = 0

    /// Makes room for reduced rows.
    ///
    /// - Parameters:
    ///   - capacity: The most complete samples between two calls of ``removeAll()``.
    ///   - columnCount: d.
    ///   - isMean: True for A, false for B.
    ///   - precision: The precision of reduced rows.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` for an impossible shape or short memory.
    public init(
        capacity: Int, columnCount: Int, isMean: Bool, precision: Scalar.Type = Float.self
    ) throws(KroneckerFactorsError) {
        let rows = try carryingErrors { () throws(LinearAlgebraError) in
            try Matrix<Scalar>(rows: capacity, columns: columnCount)
        }
        let sum = try carryingErrors { () throws(LinearAlgebraError) in
            try Matrix<Double>(rows: 1, columns: columnCount)
        }
        self.isMean = isMean
        self.rows = rows
        self.sum = sum
    }

    /// Adds consecutive rows of one sample.
    ///
    /// - Parameters:
    ///   - range: The rows of `chunk`.
    ///   - chunk: `[r, d]`, fp32.
    ///   - endsSample: Whether no row of the sample follows.
    /// - Throws: ``KroneckerFactorsError/linearAlgebra(_:)`` when the shapes do not fit, or for more samples than the
    ///   capacity; nothing is added then.
    public mutating func add(
        rows range: Range<Int>, of chunk: borrowing Matrix<Float>, endsSample: Bool
    ) throws(KroneckerFactorsError) {
        guard !endsSample || count < rows.rowCount else {
            throw .linearAlgebra(.invalidShape(rows: count + 1, columns: rows.columnCount))
        }
        do throws(LinearAlgebraError) {
            try sum.withMutableSpan { (sums: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                try addColumnSums(ofRows: range, of: chunk, to: &sums)
            }
        } catch {
            throw .linearAlgebra(error)
        }
        openRowCount += range.count
        if endsSample { try close() }
    }

    /// Forgets the complete samples; a sample that is still open is kept.
    public mutating func removeAll() { count = 0 }

    private mutating func close() throws(KroneckerFactorsError) {
        let scale = isMean ? 1 / Double(max(1, openRowCount)) : 1
        let (first, columnCount) = (count * rows.columnCount, rows.columnCount)
        do throws(LinearAlgebraError) {
            try sum.withSpan { (sums: Span<Double>) throws(LinearAlgebraError) in
                try rows.withMutableSpan { (rows: inout MutableSpan<Scalar>) throws(LinearAlgebraError) in
                    var row = rows._mutatingExtracting(first..<first + columnCount)
                    try VectorOperations.multiply(sums, by: scale, into: &row)
                }
            }
        } catch {
            throw .linearAlgebra(error)
        }
        sum.clearPrefix(columnCount)
        count += 1
        openRowCount = 0
    }
}
