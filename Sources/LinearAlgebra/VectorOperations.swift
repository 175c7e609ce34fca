internal import COpenBLAS

/// Operations on ranges of elements: sums and differences in fp64 of values stored in fp32.
///
/// They take spans, so that a caller can stream a large factor through buffers of any size. The order of every sum
/// depends only on the range's length.
public enum VectorOperations {
    /// The dot product `Σ x·y` in fp64; each product of fp32 elements is exact.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for unequal lengths,
    ///   ``LinearAlgebraError/dimensionExceedsBLAS(dimension:)`` in fp64.
    public static func dot<Scalar: MatrixScalar>(
        _ left: Span<Scalar>,
        _ right: Span<Scalar>
    ) throws(LinearAlgebraError) -> Double {
        try requireLength("the second operand", expected: left.count, found: right.count)
        return unsafe try left.withUnsafeBufferPointer { left throws(LinearAlgebraError) in
            unsafe try right.withUnsafeBufferPointer { right throws(LinearAlgebraError) in
                guard let first = left.baseAddress, let second = right.baseAddress else { return 0 }
                return unsafe try Scalar.routines.dot(first, second, left.count)
            }
        }
    }

    /// `sum += scale · values`, values widened; a scale of 1 is exact, and no operation is fused.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)``; `sum` is then unchanged.
    public static func add<Scalar: MatrixScalar>(
        _ values: Span<Scalar>,
        times scale: Double = 1,
        to sum: inout MutableSpan<Double>
    ) throws(LinearAlgebraError) {
        try requireLength("the sum", expected: values.count, found: sum.count)
        unsafe values.withUnsafeBufferPointer { values in
            unsafe sum.withUnsafeMutableBufferPointer { sum in
                guard let source = values.baseAddress, let target = sum.baseAddress else { return }
                unsafe Scalar.routines.addScaled(source, scale, target, values.count)
            }
        }
    }

    /// `destination = values / divisor`, rounded once to the precision of the destination.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)``; `destination` is then unchanged.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    public static func divide<Scalar: MatrixScalar>(
        _ values: Span<Double>,
        by divisor: Double,
        into destination: inout MutableSpan<Scalar>
    ) throws(LinearAlgebraError) {
        try requireLength("the destination", expected: values.count, found: destination.count)
        unsafe values.withUnsafeBufferPointer { values in
            unsafe destination.withUnsafeMutableBufferPointer { destination in
                for index in 0..<values.count {
                    unsafe destination[index] = Scalar(values[index] / divisor)
                }
            }
        }
    }

    /// `destination = values · scale`, rounded once to the precision of the destination.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)``; `destination` is then unchanged.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    public static func multiply<Scalar: MatrixScalar>(
        _ values: Span<Double>,
        by scale: Double,
        into destination: inout MutableSpan<Scalar>
    ) throws(LinearAlgebraError) {
        try requireLength("the destination", expected: values.count, found: destination.count)
        unsafe values.withUnsafeBufferPointer { values in
            unsafe destination.withUnsafeMutableBufferPointer { destination in
                for index in 0..<values.count {
                    unsafe destination[index] = Scalar(values[index] * scale)
                }
            }
        }
    }

    /// `values *= scale`, in fp32.
    public static func multiply(_ values: inout MutableSpan<Float>, by scale: Float) {
        unsafe values.withUnsafeMutableBufferPointer { values in
            for index in 0..<values.count { unsafe values[index] *= scale }
        }
    }

    /// `destination = (total − coefficient · part) · scale`, in fp64, rounded once to fp32.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)``; `destination` is then unchanged.
    public static func subtract(
        _ part: Span<Float>,
        times coefficient: Double,
        from total: Span<Double>,
        scale: Double,
        into destination: inout MutableSpan<Float>
    ) throws(LinearAlgebraError) {
        try requireLength("the part", expected: total.count, found: part.count)
        try requireLength("the destination", expected: total.count, found: destination.count)
        unsafe total.withUnsafeBufferPointer { total in
            unsafe part.withUnsafeBufferPointer { part in
                unsafe destination.withUnsafeMutableBufferPointer { destination in
                    for index in 0..<total.count {
                        let difference = unsafe total[index] - coefficient * Double(part[index])
                        unsafe destination[index] = Float(difference * scale)
                    }
                }
            }
        }
    }

    /// A range's part of a Frobenius inner product of symmetric matrices.
    ///
    /// Elements off the diagonal count twice, since the full matrix holds them twice.
    ///
    /// - Parameters:
    ///   - left: `[count]`, the stored elements from `firstElement` on.
    ///   - right: `[count]`, the same range of the other matrix.
    ///   - firstElement: The index of the range's first element among the stored ones.
    ///   - shape: The matrices' shape.
    /// - Returns: The range's share of `⟨left, right⟩`.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for unequal lengths.
    @specialized(where Scalar == Float)
    @specialized(where Scalar == Double)
    public static func frobeniusInnerProduct<Scalar: MatrixScalar>(
        _ left: Span<Scalar>,
        _ right: Span<Scalar>,
        firstElement: Int,
        of shape: SymmetricShape
    ) throws(LinearAlgebraError) -> Double {
        let all = try dot(left, right)
        guard !shape.isDiagonal else { return all }
        var onDiagonal = 0.0
        PackedTriangle.forEachDiagonal(in: firstElement..<firstElement + left.count) { index in
            onDiagonal += Double(left[index]) * Double(right[index])
        }
        return 2 * all - onDiagonal
    }
}

extension PackedSymmetricMatrix {
    /// `⟨self, other⟩ = Σ_ij self_ij · other_ij` over the full matrices, in fp64.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for unequal shapes.
    public func frobeniusInnerProduct(
        with other: borrowing PackedSymmetricMatrix<Scalar>
    ) throws(LinearAlgebraError) -> Double {
        try requireShape(of: other, "the other matrix")
        return try VectorOperations.frobeniusInnerProduct(
            unsafe storage.elements.span,
            unsafe other.storage.elements.span,
            firstElement: 0,
            of: shape
        )
    }
}
