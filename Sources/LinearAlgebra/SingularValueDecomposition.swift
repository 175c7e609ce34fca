internal import COpenBLAS

/// The thin singular value decomposition M = Σ σ_i u_i v_iᵀ = U · S · Vᵀ of `[m, n]`.
///
/// There are two ways to compute it. ``init(decomposing:)`` finds all k = min(m, n) triplets to the precision of the
/// elements. ``init(byGramMatrixOf:rank:progress:)`` takes less time and finds only the larger ones.
///
/// **Signs.** The two vectors of a triplet may be negated together. Here the element of u_i with the largest magnitude
/// is positive; of several, the first. So the same matrix gives the same bits, and the signs do not depend on the
/// kernels that computed the vectors. Vectors of equal values, and of the value 0, remain arbitrary within their space.
public struct SingularValueDecomposition<Scalar: MatrixScalar>: ~Copyable, Sendable {
    /// The singular values σ in descending order, `[r]`; none is negative.
    public let values: [Scalar]
    /// U, `[m, r]`: column i is the unit vector u_i.
    public let left: Matrix<Scalar>
    /// Vᵀ, `[r, n]`: row i is the unit vector v_i.
    public let right: Matrix<Scalar>

    init(values: [Scalar], left: consuming Matrix<Scalar>, right: consuming Matrix<Scalar>) {
        Self.fixSigns(left: &left, right: &right)
        self.values = values
        self.left = left
        self.right = right
    }

    /// Decomposes by divide and conquer (LAPACK `?gesdd`): all r = min(m, n) triplets.
    ///
    /// The call reports no progress. LAPACK bounds its iterations itself, so the call ends. A unit's cost predicts its
    /// time.
    ///
    /// - Parameter matrix: `[m, n]`; it is consumed.
    /// - Throws: ``LinearAlgebraError/nonFinite(row:)``,
    ///   ``LinearAlgebraError/workspaceExceedsLAPACK(routine:dimension:elementCount:)`` for min(m, n) ≥ 23170,
    ///   ``LinearAlgebraError/notConverged(routine:info:)``, or an error of shape or memory; the matrix is consumed.
    /// - Complexity: about 3mn·k + 10k³ multiply-adds; ``byteCount(rows:columns:)`` of memory.
    public init(decomposing matrix: consuming Matrix<Scalar>) throws(LinearAlgebraError) {
        try matrix.requireFinite()
        let routine = Scalar.routines.letter + "gesdd"
        let (rows, columns) = (matrix.rowCount, matrix.columnCount)
        let workspace = try SingularValueWorkspace(routine: routine, rows: rows, columns: columns)
        let count = min(rows, columns)
        let left = try Matrix<Scalar>(rows: rows, columns: count)
        let right = try Matrix<Scalar>(rows: count, columns: columns)
        var values = [Scalar](repeating: 0, count: count)
        if count > 0 {
            let work = try AlignedStorage<Scalar>(zeros: Int(workspace.realCount))
            var integers = [blasint](repeating: 0, count: Int(workspace.integerCount))
            var (m, n, k) = (workspace.rows, workspace.columns, workspace.order)
            var (realCount, info) = (workspace.realCount, blasint(0))
            // LAPACK reads the memory as Mᵀ = V S Uᵀ (Matrix.swift), so it writes V in the place of its U.
            unsafe Scalar.routines.gesdd(
                "S",
                &n,
                &m,
                matrix.storage.base,
                &n,
                &values,
                right.storage.base,
                &n,
                left.storage.base,
                &k,
                work.base,
                &realCount,
                &integers,
                &info,
                1
            )
            try requireSuccess(info, of: routine)
        }
        self.init(values: values, left: left, right: right)
    }

    /// Decomposes a product of two narrow matrices without forming it: its r leading triplets, of which further ones
    /// have the value 0.
    ///
    /// With B = U_B S_B V_Bᵀ and A = U_A S_A V_Aᵀ the product is U_B · (S_B V_Bᵀ U_A S_A) · V_Aᵀ, and the matrix in the
    /// middle is `[r, r]`. Values that rounding of the factors alone can make are 0.
    ///
    /// - Parameters:
    ///   - up: B, `[m, r]`, r ≤ m; it is consumed.
    ///   - down: A, `[r, n]`, r ≤ n; it is consumed.
    /// - Throws: As ``init(decomposing:)``.
    /// - Complexity: About 4(m + n)r² + 30r³ multiply-adds.
    public init(
        ofProduct up: consuming Matrix<Scalar>, _ down: consuming Matrix<Scalar>
    ) throws(LinearAlgebraError) {
        precondition(
            up.columnCount == down.rowCount && up.columnCount <= min(up.rowCount, down.columnCount),
            "the factors of a product must be narrow")
        let first = try SingularValueDecomposition(decomposing: up)
        let second = try SingularValueDecomposition(decomposing: down)
        let rank = first.values.count
        var core = try Matrix<Scalar>(rows: rank, columns: rank)
        try core.addProduct(first.right, .none, second.left, .none)
        core.withMutableSpan { core in
            for place in core.indices {
                core[place] *= first.values[place / rank] * second.values[place % rank]
            }
        }
        let middle = try SingularValueDecomposition(decomposing: core)
        var left = try Matrix<Scalar>(rows: first.left.rowCount, columns: rank)
        try left.addProduct(first.left, .none, middle.left, .none)
        var right = try Matrix<Scalar>(rows: rank, columns: second.right.columnCount)
        try right.addProduct(middle.right, .none, second.right, .none)
        // Vectors that cancel leave what rounding makes of the factors.
        let scale = (first.values.first ?? 0) * (second.values.first ?? 0)
        let least = Scalar(max(left.rowCount, right.columnCount)) * .ulpOfOne * scale
        self.init(values: middle.values.map { $0 > least ? $0 : 0 }, left: left, right: right)
    }

    /// The peak bytes of ``init(decomposing:)``, with the matrix and the result; `Int.max` if they do not fit.
    ///
    /// - Parameters:
    ///   - rows: m.
    ///   - columns: n.
    /// - Returns: The bytes of mn + k(m + n) + 4k² + 7k elements and 8k integers, k = min(m, n).
    public static func byteCount(rows: Int, columns: Int) -> Int {
        let order = min(rows, columns)
        let elements = rows.saturatingProduct(columns)
            .saturatingSum(order.saturatingProduct(rows.saturatingSum(columns)))
            .saturatingSum(order.saturatingProduct(order.saturatingProduct(4).saturatingSum(7)))
        return elements.saturatingProduct(MemoryLayout<Scalar>.stride)
            .saturatingSum(order.saturatingProduct(8 * MemoryLayout<blasint>.stride))
    }

    /// Negates the vectors of a triplet if the largest element of the left vector is negative.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    private static func fixSigns(left: inout Matrix<Scalar>, right: inout Matrix<Scalar>) {
        let count = left.columnCount
        var largest = [Scalar](repeating: 0, count: count)
        for row in 0..<left.rowCount {
            let elements = unsafe left.storage.base + row * count
            for column in 0..<count where unsafe elements[column].magnitude > largest[column].magnitude {
                largest[column] = unsafe elements[column]
            }
        }
        let signs: [Scalar] = largest.map { $0 < 0 ? -1 : 1 }
        for row in 0..<left.rowCount {
            let elements = unsafe left.storage.base + row * count
            for column in 0..<count { unsafe elements[column] *= signs[column] }
        }
        for row in 0..<count where signs[row] < 0 {
            let elements = unsafe right.storage.base + row * right.columnCount
            for column in 0..<right.columnCount { unsafe elements[column].negate() }
        }
    }
}

/// The workspace of `?gesdd` for thin factors, from LAPACK's documented formula.
///
/// It is also enough for LAPACK's blocked code, because k² is larger than every block.
struct SingularValueWorkspace: Equatable {
    let rows: blasint
    let columns: blasint
    /// k = min(m, n), at least 1.
    let order: blasint
    /// `LWORK` = 4k² + 7k.
    let realCount: blasint
    /// 8k.
    let integerCount: blasint

    init(routine: String, rows: Int, columns: Int) throws(LinearAlgebraError) {
        self.rows = try blasInteger(rows)
        self.columns = try blasInteger(columns)
        let order = max(1, min(rows, columns))
        let realCount = 4 * order * order + 7 * order
        guard let real = blasint(exactly: realCount), let integer = blasint(exactly: 8 * order) else {
            throw .workspaceExceedsLAPACK(routine: routine, dimension: order, elementCount: realCount)
        }
        self.order = try blasInteger(order)
        self.realCount = real
        integerCount = integer
    }
}
