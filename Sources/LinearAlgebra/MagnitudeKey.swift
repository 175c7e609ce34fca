internal import COpenBLAS

/// The magnitude of an element in fp32 as 31 bits, in two digits; keys order as magnitudes.
///
/// Elements are chosen by their keys, so a tensor's k-th magnitude is known after two counts.
public enum MagnitudeKey {
    /// Values of the leading digit, which has 15 bits.
    public static let leadingCount = 1 << 15
    /// Values of the trailing digit, which has 16 bits.
    public static let trailingCount = 1 << 16
    /// A key above those of all magnitudes.
    public static let beyondAll: UInt32 = 0x7FFF_FFFF

    /// The key of a value.
    public static func of(_ value: Double) -> UInt32 { Float(value.magnitude).bitPattern }

    /// Counts the leading digits of values, none of which is NaN.
    ///
    /// - Parameters:
    ///   - values: The values.
    ///   - counts: `[leadingCount]`, the counts, which grow.
    public static func countLeading(_ values: Span<Double>, into counts: inout MutableSpan<UInt32>) {
        precondition(counts.count == leadingCount, "there is a count for each digit")
        unsafe values.withUnsafeBufferPointer { values in
            unsafe counts.withUnsafeMutableBufferPointer { counts in
                guard let source = values.baseAddress, let target = counts.baseAddress else { return }
                unsafe kfacd_count_leading(source, values.count, target)
            }
        }
    }

    /// Counts the trailing digits of the values with a leading digit.
    ///
    /// - Parameters:
    ///   - values: The values.
    ///   - leading: The leading digit.
    ///   - counts: `[trailingCount]`, the counts, which grow.
    public static func countTrailing(
        _ values: Span<Double>, leading: UInt32, into counts: inout MutableSpan<UInt32>
    ) {
        precondition(counts.count == trailingCount, "there is a count for each digit")
        unsafe values.withUnsafeBufferPointer { values in
            unsafe counts.withUnsafeMutableBufferPointer { counts in
                guard let source = values.baseAddress, let target = counts.baseAddress else { return }
                unsafe kfacd_count_trailing(source, values.count, leading, target)
            }
        }
    }

    /// The number of values with a key.
    public static func count(_ values: Span<Double>, of key: UInt32) -> Int {
        unsafe values.withUnsafeBufferPointer { values in
            guard let source = values.baseAddress else { return 0 }
            var found = 0
            unsafe kfacd_count_key(source, values.count, key, &found)
            return found
        }
    }

    /// Sets the values to zero whose keys are outside a range.
    public static func keep(_ keys: Range<UInt32>, of values: inout MutableSpan<Double>) {
        unsafe values.withUnsafeMutableBufferPointer { values in
            guard let target = values.baseAddress else { return }
            unsafe kfacd_keep_magnitudes(target, values.count, keys.lowerBound, keys.upperBound)
        }
    }
}
