internal import COpenBLAS

/// Operations on elements of vectors that elect signs, or keep some of the elements. None uses a fused operation.
extension VectorOperations {
    /// Sets the values to zero that are not marked.
    public static func keep(marked marks: Span<Bool>, of values: inout MutableSpan<Double>) {
        precondition(marks.count >= values.count, "each value has a mark")
        unsafe marks.withUnsafeBytes { marks in
            unsafe values.withUnsafeMutableBufferPointer { values in
                guard let target = values.baseAddress, let marks = marks.baseAddress else { return }
                unsafe kfacd_keep_marked(target, values.count, marks.assumingMemoryBound(to: UInt8.self))
            }
        }
    }

    /// values = scale · values.
    public static func scale(_ values: inout MutableSpan<Double>, by scale: Double) {
        unsafe values.withUnsafeMutableBufferPointer { values in
            guard let target = values.baseAddress else { return }
            unsafe kfacd_scale(target, values.count, scale)
        }
    }

    /// Σ |value|; the order of the sum depends on the number of values only.
    public static func magnitudeSum(_ values: Span<Double>) -> Double {
        unsafe values.withUnsafeBufferPointer { values in
            guard let source = values.baseAddress else { return 0 }
            var sum = 0.0
            unsafe kfacd_sum_magnitudes(source, values.count, &sum)
            return sum
        }
    }

    /// votes += 1 where a value is positive, and −1 where it is negative.
    public static func addSigns(of values: Span<Double>, to votes: inout MutableSpan<Double>) {
        unsafe withBoth(values, &votes) { values, votes, count in unsafe kfacd_add_signs(values, votes, count) }
    }

    /// Adds the values that have their votes' sign to sums, and their weight to divisors.
    ///
    /// No votes count as positive.
    public static func addAgreeing(
        _ values: Span<Double>, with votes: Span<Double>, weight: Double, to sums: inout MutableSpan<Double>,
        divisors: inout MutableSpan<Double>
    ) {
        precondition(votes.count == values.count && divisors.count == values.count, "the ranges are equally long")
        unsafe withBoth(values, &sums) { values, sums, count in
            unsafe votes.withUnsafeBufferPointer { votes in
                unsafe divisors.withUnsafeMutableBufferPointer { divisors in
                    guard let votes = votes.baseAddress, let divisors = divisors.baseAddress else { return }
                    unsafe kfacd_add_agreeing(values, votes, weight, sums, divisors, count)
                }
            }
        }
    }

    /// Divides sums where the divisor is not 0.
    public static func divide(_ sums: inout MutableSpan<Double>, byNonzero divisors: Span<Double>) {
        unsafe withBoth(divisors, &sums) { divisors, sums, count in
            unsafe kfacd_divide_nonzero(sums, divisors, count)
        }
    }

    private static func withBoth(
        _ values: Span<Double>, _ sums: inout MutableSpan<Double>,
        _ body: (UnsafePointer<Double>, UnsafeMutablePointer<Double>, Int) -> Void
    ) {
        precondition(values.count == sums.count, "the ranges are equally long")
        unsafe values.withUnsafeBufferPointer { values in
            unsafe sums.withUnsafeMutableBufferPointer { sums in
                guard let source = values.baseAddress, let target = sums.baseAddress else { return }
                unsafe body(source, target, values.count)
            }
        }
    }
}
