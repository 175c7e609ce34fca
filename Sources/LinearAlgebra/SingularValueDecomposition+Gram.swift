internal import COpenBLAS

extension SingularValueDecomposition where Scalar == Double {
    /// Finds the larger triplets, from the eigenvectors of the smaller Gram matrix, MᵀM or MMᵀ, in fp64.
    ///
    /// **Accuracy.** Squaring costs half of the digits. With s = min(m, n) and ε = 2⁻⁵², values of at most √(sε) σ₁
    /// (1e-7 σ₁ for s = 45, 1e-6 σ₁ for s = 4500) are not resolved: they are left out, and r is smaller. The vectors of
    /// the shorter side are orthonormal up to rounding. The vectors of the longer side are unit vectors, and two of
    /// them are orthogonal up to about ε σ₁²/(σ_i σ_j). Each value is |M v_i|. So U S Vᵀ is the projection of M on the
    /// vectors of the shorter side, up to rounding. A method that gives small values full weight needs
    /// ``init(decomposing:)``.
    ///
    /// The computation passes twice over the rows, or over the columns of a wide matrix, in chunks of ``gramChunk``. So
    /// the sums have a fixed order. It reports a step after each chunk, and one after the eigenvectors.
    ///
    /// - Parameters:
    ///   - matrix: `[m, n]`, fp32 or fp64. Not changed.
    ///   - rank: The most triplets to find; nil finds all that are resolved.
    ///   - observer: Called after each step.
    /// - Throws: ``LinearAlgebraError/nonFinite(row:)``,
    ///   ``LinearAlgebraError/workspaceExceedsLAPACK(routine:dimension:elementCount:)`` for min(m, n) ≥ 32767,
    ///   ``LinearAlgebraError/notConverged(routine:info:)``, ``LinearAlgebraError/cancelled``, or an error of memory.
    /// - Complexity: mn·s/2 + 9s³ + mn·r multiply-adds; ``gramByteCount(rows:columns:rank:)`` of memory.
    public init<Element: MatrixScalar>(
        byGramMatrixOf matrix: borrowing Matrix<Element>,
        rank: Int? = nil,
        progress observer: ComputationProgress.Observer = { _ in }
    ) throws(LinearAlgebraError) {
        try matrix.requireFinite()
        let source = LongRows(of: matrix)
        let chunks = source.chunks
        var progress = ComputationProgress(step: 0, stepCount: 2 * chunks.count + 1)
        let sum = try source.gramMatrix(of: matrix, chunks, &progress, observer)
        let shortVectors = try Self.leadingVectors(of: sum, rank: rank ?? .max)
        try progress.advance(observer)
        var longVectors = try source.product(of: matrix, with: shortVectors, chunks, &progress, observer)
        let (values, order) = Self.normalizeColumns(of: &longVectors)
        let sorted = try shortVectors.selectingRows(order)
        let scaled = values.map { $0 * source.scale }
        if source.isTransposed {
            self.init(values: scaled, left: try sorted.transposed(), right: try longVectors.transposed())
        } else {
            self.init(values: scaled, left: longVectors, right: sorted)
        }
    }

    /// The number of rows of the longer side in a chunk.
    public static var gramChunk: Int { 512 }

    /// The peak bytes of ``init(byGramMatrixOf:rank:progress:)``; `Int.max` if they do not fit.
    ///
    /// They include the result. They do not include the matrix, which the caller owns.
    ///
    /// - Parameters:
    ///   - rows: m.
    ///   - columns: n.
    ///   - rank: The most triplets to find; nil counts min(m, n).
    /// - Returns: The bytes of 4s² + 8s fp64 for the eigenvectors, of two chunks, of 2r(m + n), and of 5s integers.
    public static func gramByteCount(rows: Int, columns: Int, rank: Int? = nil) -> Int {
        let order = min(rows, columns)
        let count = min(rank ?? order, order)
        return order.saturatingProduct(order.saturatingProduct(4).saturatingSum(8 + 2 * gramChunk))
            .saturatingSum(count.saturatingProduct(rows.saturatingSum(columns)).saturatingProduct(2))
            .saturatingProduct(MemoryLayout<Double>.stride)
            .saturatingSum(order.saturatingProduct(5 * MemoryLayout<blasint>.stride))
    }

    /// `[r, s]`: the eigenvectors of the largest eigenvalues that are resolved, in descending order.
    private static func leadingVectors(
        of sum: consuming PackedSymmetricMatrix<Double>,
        rank: Int
    ) throws(LinearAlgebraError) -> Matrix<Double> {
        let order = sum.dimension
        let eigen = try SymmetricEigen(decomposing: try sum.unpackedLower())
        let largest = eigen.values.last ?? 0
        let threshold = Double(order) * .ulpOfOne * largest
        let resolved = eigen.values.count { $0 > threshold }
        let count = max(0, min(resolved, rank))
        return try eigen.vectors.selectingRows((0..<count).map { order - 1 - $0 })
    }

    /// Normalizes columns, and sorts them by their norms in descending order.
    ///
    /// The eigenvalues give this order only up to rounding, and the norms are more accurate.
    ///
    /// - Parameter matrix: `[l, r]`, no column zero.
    /// - Returns: The norms, with the former position of each column.
    private static func normalizeColumns(of matrix: inout Matrix<Double>) -> (norms: [Double], order: [Int]) {
        let count = matrix.columnCount
        var squares = [Double](repeating: 0, count: count)
        for row in 0..<matrix.rowCount {
            let elements = unsafe matrix.storage.base + row * count
            for column in 0..<count { squares[column] += unsafe elements[column] * elements[column] }
        }
        let norms = squares.map { $0.squareRoot() }
        let order = norms.indices.sorted { (norms[$1], $0) < (norms[$0], $1) }
        let sorted = order.map { norms[$0] }
        var line = [Double](repeating: 0, count: count)
        for row in 0..<matrix.rowCount {
            let elements = unsafe matrix.storage.base + row * count
            for column in 0..<count { line[column] = unsafe elements[order[column]] / sorted[column] }
            for column in 0..<count { unsafe elements[column] = line[column] }
        }
        return (sorted, order)
    }
}

/// A view of a matrix with its longer side as rows, `[l, s]`, transposed if necessary.
///
/// The elements are divided by a power of two, so that the largest magnitude is between 1 and 2. So no square overflows
/// or vanishes.
private struct LongRows {
    let isTransposed: Bool
    let longCount: Int
    let shortCount: Int
    let scale: Double

    init<Element: MatrixScalar>(of matrix: borrowing Matrix<Element>) {
        isTransposed = matrix.rowCount < matrix.columnCount
        longCount = max(matrix.rowCount, matrix.columnCount)
        shortCount = min(matrix.rowCount, matrix.columnCount)
        scale = Self.scale(of: matrix)
    }

    /// The chunks of rows; empty for a matrix without elements.
    var chunks: [Range<Int>] {
        guard shortCount > 0 else { return [] }
        let size = SingularValueDecomposition<Double>.gramChunk
        return stride(from: 0, to: longCount, by: size).map { $0..<min($0 + size, longCount) }
    }

    /// The Gram matrix `rowsᵀ · rows`, summed chunk by chunk.
    func gramMatrix<Element: MatrixScalar>(
        of matrix: borrowing Matrix<Element>,
        _ chunks: [Range<Int>],
        _ progress: inout ComputationProgress,
        _ observer: ComputationProgress.Observer
    ) throws(LinearAlgebraError) -> PackedSymmetricMatrix<Double> {
        var sum = try PackedSymmetricMatrix<Double>(dimension: shortCount)
        var product = try SymmetricProduct<Double>()
        for chunk in chunks {
            let rows = try self.rows(chunk, of: matrix)
            try product.add(rows: 0..<chunk.count, of: rows, to: &sum)
            try progress.advance(observer)
        }
        return sum
    }

    /// `[l, r]`: the product of the rows and the transpose of `[r, s]`, chunk by chunk.
    func product<Element: MatrixScalar>(
        of matrix: borrowing Matrix<Element>,
        with vectors: borrowing Matrix<Double>,
        _ chunks: [Range<Int>],
        _ progress: inout ComputationProgress,
        _ observer: ComputationProgress.Observer
    ) throws(LinearAlgebraError) -> Matrix<Double> {
        let result = try Matrix<Double>(rows: longCount, columns: vectors.rowCount)
        for chunk in chunks {
            let rows = try self.rows(chunk, of: matrix)
            var product = try Matrix<Double>(rows: chunk.count, columns: vectors.rowCount)
            try product.addProduct(rows, .none, vectors, .transposed)
            let target = unsafe result.storage.base + chunk.lowerBound * vectors.rowCount
            unsafe target.update(from: product.storage.base, count: product.elementCount)
            try progress.advance(observer)
        }
        return result
    }

    /// Some of the rows, widened and divided by the scale; both are exact.
    private func rows<Element: MatrixScalar>(
        _ range: Range<Int>,
        of matrix: borrowing Matrix<Element>
    ) throws(LinearAlgebraError) -> Matrix<Double> {
        let rows = try Matrix<Double>(rows: range.count, columns: shortCount)
        unsafe copy(range, of: matrix, into: rows.storage.base)
        return rows
    }

    @specialized(where Element == Float)
    @specialized(where Element == Double)
    private func copy<Element: MatrixScalar>(
        _ range: Range<Int>,
        of matrix: borrowing Matrix<Element>,
        into target: UnsafeMutablePointer<Double>
    ) {
        let source = unsafe matrix.storage.base
        let factor = 1 / scale
        guard isTransposed else {
            let first = range.lowerBound * shortCount
            for index in 0..<range.count * shortCount {
                unsafe target[index] = Double(source[first + index]) * factor
            }
            return
        }
        for row in 0..<shortCount {
            let elements = unsafe source + row * longCount + range.lowerBound
            for column in 0..<range.count {
                unsafe target[column * shortCount + row] = Double(elements[column]) * factor
            }
        }
    }

    @specialized(where Element == Float)
    @specialized(where Element == Double)
    private static func scale<Element: MatrixScalar>(of matrix: borrowing Matrix<Element>) -> Double {
        var largest = Element.zero
        for index in 0..<matrix.elementCount {
            let magnitude = unsafe matrix.storage.base[index].magnitude
            largest = magnitude > largest ? magnitude : largest
        }
        guard largest > 0 else { return 1 }
        // The exponent is limited, so that the reciprocal is a normal number too.
        let exponent = min(max(Int(Double(largest).exponent), -1000), 1000)
        return Double(sign: .plus, exponent: exponent, significand: 1)
    }
}
