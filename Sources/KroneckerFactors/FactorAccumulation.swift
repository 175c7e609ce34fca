public import LinearAlgebra

/// The running sum of one factor: it takes chunks of captured rows and gives `Σ row·rowᵀ` in fp64.
///
/// Source: Martens & Grosse 2015 (arXiv 1503.05671), §3; position reductions after Eschenhagen et al. 2023 (arXiv
/// 2311.00636). The product of a chunk is fp32, by the workspace's arithmetic, or fp64; the sum over chunks is fp64.
/// The caller sets chunk sizes and order, so equal chunks give equal bits.
///
/// The column of ones that a bias appends to ã is never stored: `[X 1]ᵀ[X 1]` is XᵀX bordered by the column sums of X
/// and the number of rows, last.
public struct FactorAccumulation: ~Copyable, Sendable {
    /// Elements of one captured row, without the one of a bias.
    public let columnCount: Int
    /// Whether a one is appended, last, to each row.
    public let appendsOne: Bool
    /// How the rows of one sample are combined.
    public let reduction: PositionReduction
    /// Captured rows added so far, before any reduction.
    public private(set) var rowCount = 0

    /// The largest magnitude of the rows, as long as their squares have almost vanished; nil once they have not.
    private var faintMagnitude: Double? = 0

    private var sum: PackedSymmetricMatrix<Double>
    private var columnSums: Matrix<Double>

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
        let sum = try carryingErrors { () throws(LinearAlgebraError) in
            try PackedSymmetricMatrix<Double>(dimension: 0)
        }
        try self.init(columnCount: columnCount, appendsOne: appendsOne, reduction: reduction, reusing: sum)
    }

    /// An empty sum in the memory of a finished one.
    ///
    /// - Throws: As ``init(columnCount:appendsOne:reduction:)``.
    public init(
        columnCount: Int, appendsOne: Bool, reduction: PositionReduction,
        reusing memory: consuming PackedSymmetricMatrix<Double>
    ) throws(KroneckerFactorsError) {
        guard columnCount >= 1, columnCount < 1 << 30 else { throw .invalidCount(name: "columns", value: columnCount) }
        guard reduction.positions >= 1 else { throw .invalidCount(name: "positions", value: reduction.positions) }
        let dimension = columnCount + (appendsOne ? 1 : 0)
        var sum = memory
        do throws(LinearAlgebraError) { try sum.clear(as: .full(dimension)) } catch { throw .linearAlgebra(error) }
        let columnSums = try carryingErrors { () throws(LinearAlgebraError) in
            try Matrix<Double>(rows: 1, columns: columnCount)
        }
        self.sum = sum
        self.columnSums = columnSums
        self.columnCount = columnCount
        self.appendsOne = appendsOne
        self.reduction = reduction
    }

    /// Rows and columns of the factor: d, or d + 1 with the one.
    public var dimension: Int { sum.dimension }

    /// Adds one chunk of captured rows: `sum += Σ row·rowᵀ` over the reduced rows.
    ///
    /// - Parameters:
    ///   - rows: The rows of `matrix` to add; with a reduction, whole samples.
    ///   - matrix: `[r, d]`, fp32. Not copied.
    ///   - workspace: The lane's scratch.
    /// - Throws: ``KroneckerFactorsError/nonFinite(row:)``, ``KroneckerFactorsError/squareOverflow(row:column:)``,
    ///   ``KroneckerFactorsError/rowsNotDivisible(rows:positions:)`` or ``KroneckerFactorsError/linearAlgebra(_:)``;
    ///   the sum is then unchanged.
    /// - Complexity: r·d² multiply-adds (r/R·d² reduced); d² fp32 of scratch.
    public mutating func add(
        rows: Range<Int>,
        of matrix: borrowing Matrix<Float>,
        workspace: inout FactorWorkspace<Float>
    ) throws(KroneckerFactorsError) {
        guard reduction == .none else { return try addGroups(rows: rows, of: matrix, workspace: &workspace) }
        try requireColumns(of: matrix)
        do {
            try addProduct(rows: rows, of: matrix, with: &workspace.product)
        } catch {
            throw inWholeRows(error, rows: rows, of: matrix, isGrouped: false)
        }
        rowCount += rows.count
    }

    /// Adds one chunk of captured rows with their products in fp64, so that these lose no digits.
    ///
    /// - Parameters:
    ///   - rows: The rows of `matrix` to add; with a reduction, whole samples.
    ///   - matrix: `[r, d]`, fp32. It is widened; reduced rows are fp64 too.
    ///   - workspace: The lane's scratch.
    /// - Throws: As the same function in fp32.
    /// - Complexity: r·d² multiply-adds in fp64; d² + r·d fp64 of scratch.
    public mutating func add(
        rows: Range<Int>,
        of matrix: borrowing Matrix<Float>,
        workspace: inout FactorWorkspace<Double>
    ) throws(KroneckerFactorsError) {
        try addGroups(rows: rows, of: matrix, workspace: &workspace)
    }

    /// Adds one chunk of rows that the caller has reduced in fp64.
    ///
    /// - Parameters:
    ///   - rows: The rows of `matrix` to add.
    ///   - matrix: `[r, d]`, fp64. Not copied.
    ///   - workspace: The lane's scratch.
    /// - Throws: As the same function in fp32; for a sum with a reduction of its own,
    ///   ``KroneckerFactorsError/rowsNotDivisible(rows:positions:)``.
    public mutating func add(
        rows: Range<Int>,
        of matrix: borrowing Matrix<Double>,
        workspace: inout FactorWorkspace<Double>
    ) throws(KroneckerFactorsError) {
        guard reduction == .none else {
            throw .rowsNotDivisible(rows: rows.count, positions: reduction.positions)
        }
        try requireColumns(of: matrix)
        do {
            try addProduct(rows: rows, of: matrix, with: &workspace.product)
        } catch {
            switch error {
            case .nonFinite(let row): throw .nonFinite(row: rowCount + row - rows.lowerBound)
            default: throw .linearAlgebra(error)
            }
        }
        rowCount += rows.count
    }

    /// The factor: the sum divided by `divisor`, rounded once to fp32.
    ///
    /// - Parameter divisor: From ``FactorNormalization/divisor(of:counts:)``.
    /// - Returns: The packed factor.
    /// - Throws: ``KroneckerFactorsError/noRows``, ``KroneckerFactorsError/exceedsStorage(row:)``,
    ///   ``KroneckerFactorsError/linearAlgebra(_:)``, or ``KroneckerFactorsError/squaresVanish(rows:largest:)`` for
    ///   non-zero rows that vanish in fp32; the sum is consumed.
    public consuming func finish(divisor: Double) throws(KroneckerFactorsError) -> PackedSymmetricMatrix<Float> {
        var memory = try carryingErrors { () throws(LinearAlgebraError) in
            try PackedSymmetricMatrix<Double>(dimension: 0)
        }
        return try finish(divisor: divisor, keeping: &memory)
    }

    /// The factor, and the sum's memory for the next one.
    ///
    /// - Throws: As ``finish(divisor:)``.
    public consuming func finish(
        divisor: Double, keeping memory: inout PackedSymmetricMatrix<Double>
    ) throws(KroneckerFactorsError) -> PackedSymmetricMatrix<Float> {
        guard rowCount > 0 else { throw .noRows }
        try requireSquares()
        let (rows, columns) = (rowCount, columnCount)
        memory = finishPartial()
        return try memory.factor(dividedBy: divisor, rowCount: rows, columnCount: columns)
    }

    /// Refuses non-zero rows whose squares vanish in fp32.
    ///
    /// - Throws: ``KroneckerFactorsError/squaresVanish(rows:largest:)``.
    public func requireSquares() throws(KroneckerFactorsError) {
        guard let largest = faintMagnitude, largest > 0,
            largest * largest < Double(Float.leastNormalMagnitude)
        else { return }
        throw .squaresVanish(rows: rowCount, largest: largest)
    }

    /// The sum itself, for a factor whose rows are split among several units; see ``PartialSums``.
    public consuming func finishPartial() -> PackedSymmetricMatrix<Double> {
        if appendsOne {
            let last = columnCount
            for column in 0..<columnCount { sum[last, column] = columnSums[0, column] }
            sum[last, last] = Double(rowCount / reduction.positions)
        }
        return sum
    }

    // MARK: -

    private func requireColumns<Scalar>(of matrix: borrowing Matrix<Scalar>) throws(KroneckerFactorsError) {
        guard matrix.columnCount == columnCount else {
            throw .linearAlgebra(
                .lengthMismatch(buffer: "a captured row", expected: columnCount, found: matrix.columnCount)
            )
        }
    }

    private mutating func addProduct<Scalar: MatrixScalar>(
        rows: Range<Int>,
        of matrix: borrowing Matrix<Scalar>,
        with product: inout SymmetricProduct<Scalar>
    ) throws(LinearAlgebraError) {
        try product.add(rows: rows, of: matrix, to: &sum)
        noteFaintness(rows: rows, of: matrix)
        guard appendsOne else { return }
        try columnSums.withMutableSpan { (sums: inout MutableSpan<Double>) throws(LinearAlgebraError) in
            try addColumnSums(ofRows: rows, of: matrix, to: &sums)
        }
    }

    /// Checks the diagonal after each chunk.
    ///
    /// Checks the rows only while the diagonal is almost zero.
    private mutating func noteFaintness<Scalar: MatrixScalar>(rows: Range<Int>, of matrix: borrowing Matrix<Scalar>) {
        guard let known = faintMagnitude else { return }
        let floor = Double(Float.leastNormalMagnitude) * Double(rows.count)
        guard !(0..<columnCount).contains(where: { sum[$0, $0] >= floor && floor > 0 }) else {
            faintMagnitude = nil
            return
        }
        var largest = known
        matrix.withSpan { elements in
            for index in rows.lowerBound * columnCount..<rows.upperBound * columnCount {
                let magnitude = Double(elements[index].magnitude)
                if magnitude > largest { largest = magnitude }
            }
        }
        faintMagnitude = largest
    }

    /// Adds the reduced rows of a chunk; without a reduction, its rows in the workspace's precision.
    private mutating func addGroups<Scalar: MatrixScalar>(
        rows: Range<Int>,
        of matrix: borrowing Matrix<Float>,
        workspace: inout FactorWorkspace<Scalar>
    ) throws(KroneckerFactorsError) {
        try requireColumns(of: matrix)
        guard rows.count.isMultiple(of: reduction.positions) else {
            throw .rowsNotDivisible(rows: rows.count, positions: reduction.positions)
        }
        let groupCount = rows.count / reduction.positions
        do {
            try workspace.reserveGroups(rows: groupCount, columns: columnCount)
            try workspace.groups.writeSums(
                ofGroupsOf: reduction.positions,
                rows: rows,
                of: matrix,
                scale: reduction.scale
            )
            try addProduct(rows: 0..<groupCount, of: workspace.groups, with: &workspace.product)
        } catch {
            throw inWholeRows(error, rows: rows, of: matrix, isGrouped: true)
        }
        rowCount += rows.count
    }

    /// Translates the row of an error inside one chunk to its number in the whole accumulation.
    private func inWholeRows(
        _ error: LinearAlgebraError,
        rows: Range<Int>,
        of matrix: borrowing Matrix<Float>,
        isGrouped: Bool
    ) -> KroneckerFactorsError {
        let before = rowCount - rows.lowerBound
        let positions = reduction.positions
        switch error {
        case .nonFinite(let row) where !isGrouped:
            return .nonFinite(row: before + row)
        case .nonFinite(let group):
            let first = rows.lowerBound + group * positions
            // Finite rows with a non-finite reduced row have a sum beyond fp32.
            let row = try? matrix.firstNonFiniteRow(in: first..<first + positions)
            return row.map { .nonFinite(row: before + $0) } ?? .squareOverflow(row: before + first, column: 0)
        case .squareOverflow(let row, let column):
            let first = !isGrouped ? row : rows.lowerBound + row * positions
            return .squareOverflow(row: before + first, column: column)
        default:
            return .linearAlgebra(error)
        }
    }
}
