internal import COpenBLAS

/// Operations on ranges of elements: sums and differences in fp64 of values stored in fp32.
///
/// They take spans, so that a caller can stream a large factor through buffers of any size. The order of every sum
/// depends only on the range's length.
public enum VectorOperations {
    /// The dot product `Σ x·y` in fp64, each product exact.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for unequal lengths.
    public static func dot(_ left: Span<Float>, _ right: Span<Float>) throws(LinearAlgebraError) -> Double {
        try requireLength("the second operand", expected: left.count, found: right.count)
        var result = 0.0
        unsafe left.withUnsafeBufferPointer { left in
            unsafe right.withUnsafeBufferPointer { right in
                guard let first = left.baseAddress, let second = right.baseAddress else { return }
                unsafe kfacd_dot_widened(first, second, left.count, &result)
            }
        }
        return result
    }

    /// The dot product `Σ x·y` in fp64.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for unequal lengths,
    ///   ``LinearAlgebraError/dimensionExceedsBLAS(dimension:)``.
    public static func dot(_ left: Span<Double>, _ right: Span<Double>) throws(LinearAlgebraError) -> Double {
        try requireLength("the second operand", expected: left.count, found: right.count)
        let count = try blasInteger(left.count)
        return unsafe left.withUnsafeBufferPointer { left in
            unsafe right.withUnsafeBufferPointer { right in
                unsafe cblas_ddot(count, left.baseAddress, 1, right.baseAddress, 1)
            }
        }
    }

    /// `sum += scale · values`, values widened.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)``; `sum` is then unchanged.
    public static func add(
        _ values: Span<Float>,
        times scale: Double = 1,
        to sum: inout MutableSpan<Double>
    ) throws(LinearAlgebraError) {
        try requireLength("the sum", expected: values.count, found: sum.count)
        unsafe values.withUnsafeBufferPointer { values in
            unsafe sum.withUnsafeMutableBufferPointer { sum in
                for index in 0..<values.count {
                    unsafe sum[index] += scale * Double(values[index])
                }
            }
        }
    }

    /// `sum += scale · values`.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)``; `sum` is then unchanged.
    public static func add(
        _ values: Span<Double>,
        times scale: Double = 1,
        to sum: inout MutableSpan<Double>
    ) throws(LinearAlgebraError) {
        try requireLength("the sum", expected: values.count, found: sum.count)
        unsafe values.withUnsafeBufferPointer { values in
            unsafe sum.withUnsafeMutableBufferPointer { sum in
                for index in 0..<values.count {
                    unsafe sum[index] += scale * values[index]
                }
            }
        }
    }

    /// `destination = values / divisor`, rounded once to fp32.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)``; `destination` is then unchanged.
    public static func divide(
        _ values: Span<Double>,
        by divisor: Double,
        into destination: inout MutableSpan<Float>
    ) throws(LinearAlgebraError) {
        try requireLength("the destination", expected: values.count, found: destination.count)
        unsafe values.withUnsafeBufferPointer { values in
            unsafe destination.withUnsafeMutableBufferPointer { destination in
                for index in 0..<values.count {
                    unsafe destination[index] = Float(values[index] / divisor)
                }
            }
        }
    }

    /// `destination = values · scale`, rounded once to fp32.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)``; `destination` is then unchanged.
    public static func multiply(
        _ values: Span<Double>,
        by scale: Double,
        into destination: inout MutableSpan<Float>
    ) throws(LinearAlgebraError) {
        try requireLength("the destination", expected: values.count, found: destination.count)
        unsafe values.withUnsafeBufferPointer { values in
            unsafe destination.withUnsafeMutableBufferPointer { destination in
                for index in 0..<values.count {
                    unsafe destination[index] = Float(values[index] * scale)
                }
            }
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

    /// A range's part of a Frobenius inner product of packed triangles.
    ///
    /// Elements off the diagonal count twice, since the full matrix holds them twice.
    ///
    /// - Parameters:
    ///   - left: `[count]`, the packed elements from `firstElement` on.
    ///   - right: `[count]`, the same range of the other matrix.
    ///   - firstElement: The index of the range's first element in the packed triangle.
    /// - Returns: The range's share of `⟨left, right⟩`.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for unequal lengths.
    public static func frobeniusInnerProduct(
        _ left: Span<Float>,
        _ right: Span<Float>,
        firstElement: Int
    ) throws(LinearAlgebraError) -> Double {
        let all = try dot(left, right)
        var onDiagonal = 0.0
        PackedTriangle.forEachDiagonal(in: firstElement..<firstElement + left.count) { index in
            onDiagonal += Double(left[index]) * Double(right[index])
        }
        return 2 * all - onDiagonal
    }

    /// The same for fp64 elements.
    ///
    /// - Parameters:
    ///   - left: `[count]`, the packed elements from `firstElement` on.
    ///   - right: `[count]`, the same range of the other matrix.
    ///   - firstElement: The index of the range's first element in the packed triangle.
    /// - Returns: The range's share of `⟨left, right⟩`.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for unequal lengths.
    public static func frobeniusInnerProduct(
        _ left: Span<Double>,
        _ right: Span<Double>,
        firstElement: Int
    ) throws(LinearAlgebraError) -> Double {
        let all = try dot(left, right)
        var onDiagonal = 0.0
        PackedTriangle.forEachDiagonal(in: firstElement..<firstElement + left.count) { index in
            onDiagonal += left[index] * right[index]
        }
        return 2 * all - onDiagonal
    }
}

extension PackedSymmetricMatrix where Scalar == Float {
    /// `⟨self, other⟩ = Σ_ij self_ij · other_ij` over the full matrices, in fp64.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for unequal dimensions.
    public func frobeniusInnerProduct(
        with other: borrowing PackedSymmetricMatrix<Float>
    ) throws(LinearAlgebraError) -> Double {
        try VectorOperations.frobeniusInnerProduct(
            unsafe storage.elements.span,
            unsafe other.storage.elements.span,
            firstElement: 0
        )
    }
}

extension PackedSymmetricMatrix where Scalar == Double {
    /// `⟨self, other⟩ = Σ_ij self_ij · other_ij` over the full matrices, in fp64.
    /// - Throws: ``LinearAlgebraError/lengthMismatch(buffer:expected:found:)`` for unequal dimensions.
    public func frobeniusInnerProduct(
        with other: borrowing PackedSymmetricMatrix<Double>
    ) throws(LinearAlgebraError) -> Double {
        try VectorOperations.frobeniusInnerProduct(
            unsafe storage.elements.span,
            unsafe other.storage.elements.span,
            firstElement: 0
        )
    }
}
