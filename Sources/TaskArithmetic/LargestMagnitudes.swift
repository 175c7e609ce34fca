/// The k elements of the largest magnitude; among equal magnitudes the lowest index comes first.
///
/// The k-th magnitude is found digit by digit, so the time is linear and no copy is made. The digits are those of the
/// floating-point pattern, whose order is that of the magnitudes.
struct LargestMagnitudes {
    /// Shift and number of bits of each digit: the exponent, then parts of the mantissa.
    private static let digits: [(shift: UInt64, bits: UInt64)] = [
        (52, 11), (41, 11), (30, 11), (19, 11), (8, 11), (0, 8),
    ]

    private let threshold: UInt64
    /// How many elements at the threshold are still to come.
    private var remaining: Int

    /// Finds the k-th magnitude.
    ///
    /// - Parameters:
    ///   - count: k; 0 chooses nothing, and the number of values or more chooses everything.
    ///   - values: The values; none is NaN.
    init(_ count: Int, of values: Span<Double>) {
        guard count > 0 else {
            (threshold, remaining) = (.max, 0)
            return
        }
        guard count < values.count else {
            (threshold, remaining) = (0, .max)
            return
        }
        var (prefix, mask, remaining) = (UInt64(0), UInt64(0), count)
        for (shift, bits) in Self.digits {
            let digitMask = (UInt64(1) << bits) - 1
            var counts = [Int](repeating: 0, count: 1 << Int(bits))
            for index in values.indices {
                let key = values[index].magnitude.bitPattern
                if key & mask == prefix { counts[Int((key >> shift) & digitMask)] += 1 }
            }
            var digit = counts.count - 1
            while counts[digit] < remaining {
                remaining -= counts[digit]
                digit -= 1
            }
            prefix |= UInt64(digit) << shift
            mask |= digitMask << shift
            guard counts[digit] > remaining else {
                // All elements with these leading digits are among the k, and the lower digits do not matter.
                (threshold, self.remaining) = (prefix, .max)
                return
            }
        }
        (threshold, self.remaining) = (prefix, remaining)
    }

    /// Whether the next value, in the order of the indices, is one of the k.
    @inline(__always)
    mutating func takes(next value: Double) -> Bool {
        let key = value.magnitude.bitPattern
        // Without a last place all of the threshold and above are taken.
        guard remaining != .max else { return key >= threshold }
        guard key == threshold else { return key > threshold }
        guard remaining > 0 else { return false }
        remaining -= 1
        return true
    }
}

/// Ranks of values by magnitude.
enum MagnitudeRanks {
    /// The number of values that come before each one in ascending order.
    ///
    /// Among equal magnitudes the lowest index comes last, as it comes first among the largest.
    static func ascending(_ values: Span<Double>) -> [Int] {
        var order = values.indices.map { (key: values[$0].magnitude.bitPattern, index: $0) }
        order.sort { $0.key == $1.key ? $0.index > $1.index : $0.key < $1.key }
        var ranks = [Int](repeating: 0, count: order.count)
        for (rank, place) in order.enumerated() { ranks[place.index] = rank }
        return ranks
    }
}
