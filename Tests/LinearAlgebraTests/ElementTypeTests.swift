import LinearAlgebra
import TestSupport
import Testing

struct ElementTypeTests {
    private let allPatterns = (0...UInt16.max).map { $0 }

    private func decoded(_ patterns: [UInt16], _ type: ElementType) throws -> [Float] {
        var values = [Float](repeating: 0, count: patterns.count)
        var destination = values.mutableSpan
        try type.decode(patterns.span.bytes, into: &destination)
        return values
    }

    private func encoded(_ values: [Float], _ type: ElementType) throws -> [UInt16] {
        var patterns = [UInt16](repeating: 0, count: values.count)
        var span = patterns.mutableSpan
        var bytes = span.mutableBytes
        try type.encode(values.span, into: &bytes)
        return patterns
    }

    private func encoded(_ values: [Double], _ type: ElementType) throws -> [UInt16] {
        var patterns = [UInt16](repeating: 0, count: values.count)
        var span = patterns.mutableSpan
        var bytes = span.mutableBytes
        try type.encode(values.span, into: &bytes)
        return patterns
    }

    /// The value of a 16-bit pattern, from the definition of the formats.
    private func value(of pattern: UInt16, exponentBits: Int) -> Double {
        let fractionBits = 15 - exponentBits
        let bias = (1 << (exponentBits - 1)) - 1
        let exponent = Int(pattern >> UInt16(fractionBits)) & ((1 << exponentBits) - 1)
        let fraction = Double(pattern & ((1 << UInt16(fractionBits)) - 1)) / Double(1 << fractionBits)
        let sign: Double = pattern >> 15 == 0 ? 1 : -1
        if exponent == (1 << exponentBits) - 1 { return fraction == 0 ? sign * .infinity : .nan }
        let scale = Double(sign: .plus, exponent: max(exponent, 1) - bias, significand: 1)
        return sign * scale * (exponent == 0 ? fraction : 1 + fraction)
    }

    @Test(arguments: [(ElementType.f16, 5), (.bf16, 8)])
    func `all 65 536 patterns decode to the value the format defines`(type: ElementType, exponentBits: Int) throws {
        let values = try decoded(allPatterns, type)
        for (pattern, found) in zip(allPatterns, values) {
            let expected = value(of: pattern, exponentBits: exponentBits)
            if expected.isNaN {
                #expect(found.isNaN)
            } else if Double(found) != expected || (found.sign == .minus) != (pattern >> 15 == 1) {
                Issue.record("pattern \(pattern): \(found); expected \(expected)")
            }
        }
    }

    @Test(arguments: [ElementType.f16, .bf16])
    func `encoding what was decoded gives the pattern back`(type: ElementType) throws {
        let values = try decoded(allPatterns, type)
        for (found, wide) in [(try encoded(values, type), false), (try encoded(values.map(Double.init), type), true)] {
            for (pattern, again) in zip(allPatterns, found) where pattern != again {
                let value = values[Int(pattern)]
                let stayedNaN = try decoded([again], type)[0].isNaN
                if !(value.isNaN && stayedNaN) { Issue.record("\(pattern) became \(again), from fp64: \(wide)") }
            }
        }
    }

    @Test(arguments: [(ElementType.f16, 5), (.bf16, 8)])
    func `between neighbours every value rounds to the nearer, a tie to the even`(
        type: ElementType,
        exponentBits: Int
    ) throws {
        let infinity = UInt16((1 << exponentBits) - 1) << UInt16(15 - exponentBits)
        let lower = Array(0..<infinity)
        let values = lower.map { value(of: $0, exponentBits: exponentBits) }
        // The value after the largest finite one, if the exponent were unbounded; rounding to infinity begins there.
        let step = values[values.count - 1] - values[values.count - 2]
        let next = values.dropFirst() + [values[values.count - 1] + step]
        let ties = zip(values, next).map { ($0 + $1) / 2 }
        #expect(try encoded(ties, type) == lower.map { $0 & 1 == 0 ? $0 : $0 + 1 })
        // A value just beside the tie that fp32 cannot hold; rounding through fp32 first would give the tie.
        #expect(try encoded(ties.map { $0.nextDown }, type) == lower)
        #expect(try encoded(ties.map { $0.nextUp }, type) == lower.map { $0 + 1 })
        #expect(try encoded(ties.map { -$0.nextUp }, type) == lower.map { ($0 + 1) | 0x8000 })
        // All ties of these types are fp32 values.
        #expect(try encoded(ties.map { Float($0) }, type) == lower.map { $0 & 1 == 0 ? $0 : $0 + 1 })
    }

    @Test func `beyond the range is infinity and NaN stays NaN`() throws {
        for type in [ElementType.f16, .bf16] {
            let extremes = try decoded(encoded([1e300, -1e300, .infinity, -.infinity], type), type)
            #expect(extremes == [.infinity, -.infinity, .infinity, -.infinity])
            // A NaN with a payload only in the truncated bits must not become infinity.
            #expect(try decoded(encoded([Float(bitPattern: 0x7F80_0001)], type), type)[0].isNaN)
            #expect(try decoded(encoded([Double.nan], type), type)[0].isNaN)
        }
    }

    @Test func `F32 and F64 pass exactly and F64 rounds once to fp32`() throws {
        let values: [Double] = [0, -0.0, 1, 1 + 0x1p-24, 1 + 0x1p-24 + 0x1p-52, 1e300, 0x1p-149]
        var narrowed = [Float](repeating: 0, count: values.count)
        var destination = narrowed.mutableSpan
        try ElementType.f64.decode(values.span.bytes, into: &destination)
        #expect(narrowed == [0, -0.0, 1, 1, 1 + 0x1p-23, .infinity, 0x1p-149])
        var widened = [Double](repeating: 0, count: narrowed.count)
        var wide = widened.mutableSpan
        try ElementType.f32.decode(narrowed.span.bytes, into: &wide)
        #expect(widened == narrowed.map(Double.init))
    }

    @Test func `lengths around the vector width and odd addresses are converted whole`() throws {
        for count in 0..<40 {
            let patterns = (0..<count).map { UInt16(0x3F80 + $0) }
            var bytes: [UInt8] = [0xFF]
            for pattern in patterns { bytes += [UInt8(truncatingIfNeeded: pattern), UInt8(pattern >> 8)] }
            var values = [Float](repeating: 0, count: count)
            var destination = values.mutableSpan
            try ElementType.bf16.decode(bytes.span.bytes.extracting(1..<bytes.count), into: &destination)
            #expect(values == patterns.map { Float(bitPattern: UInt32($0) << 16) })
        }
    }
}
