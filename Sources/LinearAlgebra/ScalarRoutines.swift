internal import COpenBLAS
internal import CProductKernels

/// The routines of one precision: those of BLAS and LAPACK, and the loops in C.
///
/// They are values, not requirements of ``MatrixScalar``. So no C library and no pointer is visible outside this
/// module. A call costs one indirect jump for a whole matrix or a block of elements.
@safe public struct ScalarRoutines<Scalar: BinaryFloatingPoint & BitwiseCopyable>: Sendable {
    typealias Elements = UnsafePointer<Scalar>
    typealias MutableElements = UnsafeMutablePointer<Scalar>
    typealias MutableInteger = UnsafeMutablePointer<blasint>

    /// The letter before a LAPACK routine's name, "s" or "d".
    let letter: String

    /// `?gemm`: C = α · op(A) · op(B) + β · C.
    let gemm:
        @Sendable (
            CBLAS_ORDER, CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, blasint, blasint, blasint, Scalar, Elements?, blasint,
            Elements?, blasint, Scalar, MutableElements?, blasint
        ) -> Void
    /// `?symm`: C = α · A · B + β · C with a symmetric A, on either side.
    let symm:
        @Sendable (
            CBLAS_ORDER, CBLAS_SIDE, CBLAS_UPLO, blasint, blasint, Scalar, Elements?, blasint, Elements?, blasint,
            Scalar, MutableElements?, blasint
        ) -> Void
    /// `?syrk`: C = α · op(A) · op(A)ᵀ + β · C, one triangle.
    let syrk:
        @Sendable (
            CBLAS_ORDER, CBLAS_UPLO, CBLAS_TRANSPOSE, blasint, blasint, Scalar, Elements?, blasint, Scalar,
            MutableElements?, blasint
        ) -> Void
    /// `?syevd`: eigenvalues and vectors of a symmetric matrix.
    let syevd:
        @Sendable (
            UnsafePointer<CChar>?, UnsafePointer<CChar>?, UnsafePointer<blasint>?, MutableElements?,
            UnsafePointer<blasint>?, MutableElements?, MutableElements?, UnsafePointer<blasint>?, MutableInteger?,
            UnsafePointer<blasint>?, MutableInteger?, Int, Int
        ) -> Void
    /// `?gesdd`: the singular value decomposition, by divide and conquer.
    let gesdd:
        @Sendable (
            UnsafePointer<CChar>?, UnsafePointer<blasint>?, UnsafePointer<blasint>?, MutableElements?,
            UnsafePointer<blasint>?, MutableElements?, MutableElements?, UnsafePointer<blasint>?, MutableElements?,
            UnsafePointer<blasint>?, MutableElements?, UnsafePointer<blasint>?, MutableInteger?, MutableInteger?, Int
        ) -> Void
    /// Adds `count` elements, widened, to sums in fp64.
    let addWidened: @Sendable (Elements, UnsafeMutablePointer<Double>, Int) -> Void
    /// `sum += scale · values` over `count` elements, widened, without a fused operation.
    let addScaled: @Sendable (Elements, Double, UnsafeMutablePointer<Double>, Int) -> Void
    /// Adds so many rows of so many columns to sums in fp64, row by row.
    let addColumnSums: @Sendable (Elements, Int, Int, UnsafeMutablePointer<Double>) -> Void
    /// `sum += weight · (values − base)` over `count` elements; the values are of a type.
    let addDifference: @Sendable (ElementType, Scalar, UnsafeRawPointer, Elements, MutableElements, Int) -> Void
    /// `sum = base + scale · sum` over `count` elements.
    let scaleAndAdd: @Sendable (Scalar, Elements, MutableElements, Int) -> Void
    /// The lower triangle of `rowsᵀ · rows` in bfloat16, of rows, columns and scratch; false if an element is not
    /// exact in it.
    let bfloat16Product: @Sendable (Elements, Int, Int, MutableElements, UnsafeMutableRawPointer) -> Bool
    /// The lower triangle of `rowsᵀ · rows` by fused multiply-adds, of rows, columns and scratch.
    let fusedProduct:
        @Sendable (FusedInstructions, Elements, Int, Int, MutableElements, UnsafeMutableRawPointer) -> Void
    /// Writes lines as columns: of the first line, the first distance between lines, its growth, lines, columns, target
    /// and the target's pitch.
    let mirror: @Sendable (Elements, Int, Int, Int, Int, MutableElements, Int) -> Void
    /// `Σ x · y` over `count` elements, in fp64.
    let dot: @Sendable (Elements, Elements, Int) throws(LinearAlgebraError) -> Double
    /// Reads `count` elements of a type.
    let decode: @Sendable (ElementType, UnsafeRawPointer, MutableElements, Int) -> Void
    /// Writes `count` elements as a type.
    let encode: @Sendable (ElementType, Elements, UnsafeMutableRawPointer, Int) -> Void
}

extension ScalarRoutines where Scalar == Float {
    static let single = unsafe ScalarRoutines(
        letter: "s",
        gemm: cblas_sgemm,
        symm: cblas_ssymm,
        syrk: cblas_ssyrk,
        syevd: ssyevd_,
        gesdd: sgesdd_,
        addWidened: { row, sum, count in unsafe kfacd_add_widened(row, sum, count) },
        addScaled: { values, scale, sum, count in
            for index in 0..<count { unsafe sum[index] += scale * Double(values[index]) }
        },
        addColumnSums: { rows, rowCount, columnCount, sums in
            unsafe kfacd_add_column_sums(rows, rowCount, columnCount, sums)
        },
        addDifference: { type, weight, source, base, sum, count in
            unsafe type.addDifference(weight, source, base, sum, count: count)
        },
        scaleAndAdd: { scale, base, sum, count in unsafe kfacd_scale_and_add(scale, base, sum, count) },
        bfloat16Product: { rows, rowCount, columnCount, sums, scratch in
            unsafe kfacd_bfloat16_product(rows, rowCount, columnCount, sums, scratch) != 0
        },
        fusedProduct: { instructions, rows, rowCount, columnCount, sums, scratch in
            unsafe kfacd_fused_product(instructions.number, rows, rowCount, columnCount, sums, scratch)
        },
        mirror: { source, stride, growth, lines, columns, target, pitch in
            unsafe kfacd_mirror(source, stride, growth, lines, columns, target, pitch)
        },
        dot: { left, right, count in
            var result = 0.0
            unsafe kfacd_dot_widened(left, right, count, &result)
            return result
        },
        decode: { type, source, target, count in unsafe type.decode(source, into: target, count: count) },
        encode: { type, source, target, count in unsafe type.encode(source, into: target, count: count) })
}

extension ScalarRoutines where Scalar == Double {
    static let double = unsafe ScalarRoutines(
        letter: "d",
        gemm: cblas_dgemm,
        symm: cblas_dsymm,
        syrk: cblas_dsyrk,
        syevd: dsyevd_,
        gesdd: dgesdd_,
        addWidened: { row, sum, count in
            for index in 0..<count { unsafe sum[index] += row[index] }
        },
        addScaled: { values, scale, sum, count in unsafe kfacd_add_scaled(values, scale, sum, count) },
        addColumnSums: { rows, rowCount, columnCount, sums in
            for row in 0..<rowCount {
                for column in 0..<columnCount { unsafe sums[column] += rows[row * columnCount + column] }
            }
        },
        addDifference: { type, weight, source, base, sum, count in
            unsafe type.addDifference(weight, source, base, sum, count: count)
        },
        scaleAndAdd: { scale, base, sum, count in unsafe kfacd_add_to_base(base, scale, sum, count) },
        bfloat16Product: { _, _, _, _, _ in false },
        fusedProduct: { _, _, _, _, _, _ in preconditionFailure("there is no kernel for narrow rows in fp64") },
        mirror: { source, stride, growth, lines, columns, target, pitch in
            for line in 0..<lines {
                let start = unsafe source + line * stride + growth * (line * (line - 1) / 2)
                for column in 0..<columns { unsafe target[column * pitch + line] = start[column] }
            }
        },
        dot: { left, right, count throws(LinearAlgebraError) in
            unsafe cblas_ddot(try blasInteger(count), left, 1, right, 1)
        },
        decode: { type, source, target, count in unsafe type.decode(source, into: target, count: count) },
        encode: { type, source, target, count in unsafe type.encode(source, into: target, count: count) })
}
