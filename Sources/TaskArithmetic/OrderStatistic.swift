/// The value at a place of the sorted order, found in linear time and without a copy.
enum OrderStatistic {
    /// The bits of each step, from the highest.
    private static let bits: UInt64 = 16

    /// The value at a position of the ascending order, by digits of the floating-point pattern.
    ///
    /// - Parameters:
    ///   - position: From 0 to the number of values − 1.
    ///   - values: The values; none is negative or NaN.
    /// - Returns: The value.
    static func value(at position: Int, of values: Span<Double>) -> Double {
        var (prefix, mask, remaining) = (UInt64(0), UInt64(0), position)
        for shift in stride(from: 64 - bits, through: 0, by: -Int(bits)) {
            var counts = [Int](repeating: 0, count: 1 << Int(bits))
            for index in values.indices {
                let key = values[index].bitPattern
                if key & mask == prefix { counts[Int((key >> shift) & 0xFFFF)] += 1 }
            }
            var digit = 0
            while counts[digit] <= remaining {
                remaining -= counts[digit]
                digit += 1
            }
            prefix |= UInt64(digit) << shift
            mask |= UInt64(0xFFFF) << shift
        }
        return Double(bitPattern: prefix)
    }
}
