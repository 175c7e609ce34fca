internal import COpenBLAS

/// The BLAS library of this process: its kernels, its number of threads, and a check of its results.
public enum BLASEnvironment {
    /// The kernel set chosen for this processor, as OpenBLAS names it ("SkylakeX", "Haswell").
    public static var kernels: String {
        unsafe openblas_get_corename().map { unsafe String(cString: $0) } ?? "unknown"
    }

    /// The BLAS library, its version and its kernel set, which decide the bits of results: `OpenBLAS 0.3.26 SkylakeX`.
    public static var kernelFamily: String {
        // The configuration begins with the name and the version; options follow.
        let version = configuration.split(separator: " ").prefix(2).joined(separator: " ")
        return "\(version) \(kernels)"
    }

    /// OpenBLAS's text on its version and build options.
    public static var configuration: String {
        unsafe openblas_get_config().map { unsafe String(cString: $0) } ?? "unknown"
    }

    /// The number of threads of one BLAS call.
    public static var threadCount: Int { Int(openblas_get_num_threads()) }

    /// Sets the number of threads of one BLAS call for the whole process; called once, at start.
    ///
    /// With more than one thread only one call may run at a time: OpenBLAS's threads, called from several threads at
    /// once, slow each other down a hundredfold. With one thread, calls from any number of threads are independent.
    public static func setThreadCount(_ count: Int) {
        openblas_set_num_threads(Int32(clamping: max(1, count)))
    }

    /// Ends the threads that OpenBLAS has begun; a call that needs some begins them anew.
    ///
    /// A program that seldom computes should not leave them waiting, because they wait on a busy processor at first.
    public static func endThreads() { kfacd_end_blas_threads() }

    /// Multiplies and factorises small matrices with known results, so that a broken kernel set fails here and not in a
    /// factor.
    /// - Throws: ``LinearAlgebraError/selfTestFailed(routine:kernels:expected:found:)`` for the first wrong number.
    public static func selfTest() throws(LinearAlgebraError) {
        // Larger than one register tile of any kernel set in both directions, and not a multiple of one.
        let order = 67
        try testGemm(order: order)
        try testSyrk(order: order)
        try testPotrf(order: order)
    }

    /// M_ij = min(i, j) + 1 = L·Lᵀ with L all ones on and below the diagonal: exact in every precision.
    private static func expectedProduct(_ row: Int, _ column: Int) -> Double { Double(min(row, column) + 1) }

    private static func testGemm(order: Int) throws(LinearAlgebraError) {
        var ones = try Matrix<Float>(rows: order, columns: order)
        for row in 0..<order { for column in 0...row { ones[row, column] = 1 } }
        var product = try Matrix<Float>(rows: order, columns: order)
        try product.addProduct(ones, .none, ones, .transposed)
        for row in 0..<order {
            for column in 0..<order {
                try check("sgemm", Double(product[row, column]), expectedProduct(row, column))
            }
        }
    }

    private static func testSyrk(order: Int) throws(LinearAlgebraError) {
        // Row i has ones from column i on, so rowsᵀ·rows is M.
        var rows = try Matrix<Float>(rows: order, columns: order)
        for row in 0..<order { for column in row..<order { rows[row, column] = 1 } }
        var sum = try PackedSymmetricMatrix<Double>(dimension: order)
        var product = try SymmetricProduct<Float>()
        try product.add(rows: 0..<order, of: rows, to: &sum)
        for row in 0..<order {
            for column in 0...row { try check("ssyrk", sum[row, column], expectedProduct(row, column)) }
        }
    }

    private static func testPotrf(order: Int) throws(LinearAlgebraError) {
        var matrix = try Matrix<Double>(rows: order, columns: order)
        for row in 0..<order { for column in 0...row { matrix[row, column] = expectedProduct(row, column) } }
        let inverse = try CholeskyFactor(factorizing: matrix).inverse()
        // M's inverse is tridiagonal: 2 on the diagonal (1 last), −1 beside it.
        for row in 0..<order {
            try check("dpotrf, dpotri", inverse[row, row], row == order - 1 ? 1 : 2)
            if row > 0 { try check("dpotrf, dpotri", inverse[row, row - 1], -1) }
        }
    }

    private static func check(_ routine: String, _ found: Double, _ expected: Double) throws(LinearAlgebraError) {
        guard (found - expected).magnitude <= 1e-10 else {
            throw .selfTestFailed(routine: routine, kernels: kernels, expected: expected, found: found)
        }
    }
}
