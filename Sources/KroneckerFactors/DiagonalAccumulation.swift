public import LinearAlgebra

/// The running sum of a diagonal factor: it takes chunks of captured rows and gives the diagonal of `Σ row·rowᵀ`.
///
/// It is the diagonal of what ``FactorAccumulation`` gives, without the elements beside it. Squares and sums are fp64.
public struct DiagonalAccumulation: ~Copyable, Sendable {
    /// Elements of one captured row, without the one of a bias.
    public let columnCount: Int
    /// Whether a one is appended, last, to each row.
    public let appendsOne: Bool
    /// How the rows of one sample are combined.
    public let reduction: PositionReduction
    /// Captured rows added so far, before any reduction.
    public private(set) var rowCount = 0
    private var sum: PackedSymmetricMatrix<Double>
    private var groups: Matrix<Float>

    /// An empty sum.
    ///
    /// - Parameters:
    ///   - columnCount: d, elements of one captured row.
    ///   - appendsOne: True for A of a layer with bias: the factor's dimension is then d + 1.
    ///   - reduction: From ``FactorNormalization/positionReduction(of:positions:)``.
    /// - Throws: ``KroneckerFactorsError/invalidCount(name:value:)`` or ``KroneckerFactorsError/linearAlgebra(_:)``
    ///   for an impossible shape or short memory.
    public init(
        columnCount: Int,
        appendsOne: Bool = false,
        reduction: PositionReduction = .none
    ) throws(KroneckerFactorsError) {
        guard columnCount >= 1, columnCount < 1 << 31 else { throw .invalidCount(name: "columns", value: columnCount) }
        guard reduction.positions >= 1 else { throw .invalidCount(name: "positions", value: reduction.positions) }
        let sum = try carryingErrors { () throws(LinearAlgebraError) in
            try PackedSymmetricMatrix<Double>(shape: .diagonal(columnCount + (appendsOne ? 1 : 0)))
        }
        let groups = try carryingErrors { () throws(LinearAlgebraError) in try Matrix<Float>(rows: 0, columns: 0) }
        self.sum = sum
        self.groups = groups
        self.columnCount = columnCount
        self.appendsOne = appendsOne
        self.reduction = reduction
    }

    /// Adds one chunk of captured rows.
    ///
    /// - Parameters:
    ///   - rows: The rows of `matrix` to add; with a reduction, whole samples.
    ///   - matrix: `[r, d]`, fp32. Not copied.
    /// - Throws: ``KroneckerFactorsError/nonFinite(row:)``, ``KroneckerFactorsError/squareOverflow(row:column:)`` for a
    ///   reduced row beyond fp32, ``KroneckerFactorsError/rowsNotDivisible(rows:positions:)`` or
    ///   ``KroneckerFactorsError/linearAlgebra(_:)``; the sum is then unchanged.
    /// - Complexity: r·d multiply-adds.
    public mutating func add(
        rows: Range<Int>, of matrix: borrowing Matrix<Float>
    ) throws(KroneckerFactorsError) {
        guard matrix.columnCount == columnCount else {
            throw .linearAlgebra(
                .lengthMismatch(buffer: "a captured row", expected: columnCount, found: matrix.columnCount))
        }
        guard rows.count.isMultiple(of: reduction.positions) else {
            throw .rowsNotDivisible(rows: rows.count, positions: reduction.positions)
        }
        let before = rowCount - rows.lowerBound
        let flaw = try carryingErrors { () throws(LinearAlgebraError) in try matrix.firstNonFiniteRow(in: rows) }
        if let flaw { throw .nonFinite(row: before + flaw) }
        if reduction == .none {
            try Self.addSquares(ofRows: rows, of: matrix, to: &sum)
        } else {
            let overflow = try reduce(rows, of: matrix)
            if let overflow {
                throw .squareOverflow(row: before + rows.lowerBound + overflow * reduction.positions, column: 0)
            }
            try Self.addSquares(ofRows: 0..<rows.count / reduction.positions, of: groups, to: &sum)
        }
        rowCount += rows.count
    }

    /// The factor: the sum divided by `divisor`, rounded once to fp32.
    ///
    /// - Parameter divisor: From ``FactorNormalization/divisor(of:counts:)``.
    /// - Returns: The factor, of a diagonal shape.
    /// - Throws: As ``FactorAccumulation/finish(divisor:)``; the sum is consumed.
    public consuming func finish(divisor: Double) throws(KroneckerFactorsError) -> PackedSymmetricMatrix<Float> {
        guard rowCount > 0 else { throw .noRows }
        let (rows, columns) = (rowCount, columnCount)
        return try finishPartial().factor(dividedBy: divisor, rowCount: rows, columnCount: columns)
    }

    /// The sum itself, for a factor whose rows are split among several units; see ``PartialSums``.
    public consuming func finishPartial() -> PackedSymmetricMatrix<Double> {
        if appendsOne { sum[columnCount, columnCount] = Double(rowCount / reduction.positions) }
        return sum
    }

    // MARK: -

    private static func addSquares(
        ofRows rows: Range<Int>, of matrix: borrowing Matrix<Float>, to sum: inout PackedSymmetricMatrix<Double>
    ) throws(KroneckerFactorsError) {
        do {
            try sum.withMutableSpan { (sums: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                try addColumnSquares(ofRows: rows, of: matrix, to: &sums)
            }
        } catch {
            throw .linearAlgebra(error)
        }
    }

    /// Reduces rows to the groups, and returns the first group that exceeds fp32.
    private mutating func reduce(
        _ rows: Range<Int>, of matrix: borrowing Matrix<Float>
    ) throws(KroneckerFactorsError) -> Int? {
        let count = rows.count / reduction.positions
        do {
            if groups.rowCount < count || groups.columnCount != columnCount {
                groups = try Matrix(rows: count, columns: columnCount)
            }
            try groups.writeSums(ofGroupsOf: reduction.positions, rows: rows, of: matrix, scale: reduction.scale)
            return try groups.firstNonFiniteRow(in: 0..<count)
        } catch {
            throw .linearAlgebra(error)
        }
    }
}
