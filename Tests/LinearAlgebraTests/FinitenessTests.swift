import LinearAlgebra
import Testing

/// Where NaN and infinities are found, and operations that must not lose them.
struct FinitenessTests {
    private func bytes(_ values: [Double], _ type: ElementType) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: values.count * type.byteCount)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        try type.encode(values.span, into: &raw)
        return bytes
    }

    private func first(_ type: ElementType, _ bytes: [UInt8], from start: Int = 0) -> Int? {
        type.firstNonFinite(in: bytes.span.bytes.extracting(start..<bytes.count))
    }

    private func positions(_ type: ElementType, _ bytes: [UInt8]) -> [Int] {
        type.nonFinitePositions(in: bytes.span.bytes)
    }

    @Test(arguments: ElementType.allCases, [0, 1, 7, 15, 16, 33, 4096, 5000])
    func `every position of every type is found`(type: ElementType, position: Int) throws {
        for value in [Double.nan, .infinity, -.infinity] {
            var values = [Double](repeating: -type.largestFinite, count: 5003)
            #expect(try first(type, bytes(values, type)) == nil)
            values[position] = value
            values[5001] = value
            let changed = try bytes(values, type)
            #expect(first(type, changed) == position)
            #expect(positions(type, changed) == [position, 5001])
            // The data may have any alignment.
            #expect(first(type, [0] + changed, from: 1) == position)
        }
    }

    @Test func `no elements are finite`() {
        #expect(first(.f32, []) == nil)
        #expect(positions(.bf16, []) == [])
    }

    @Test func `the next type holds what this one does not`() {
        #expect(ElementType.f16.wider(holding: 1e5) == .bf16)
        #expect(ElementType.f16.wider(holding: 3.4e38) == .f32)
        #expect(ElementType.bf16.wider(holding: 3.4e38) == .f32)
        #expect(ElementType.f32.wider(holding: 1e39) == .f64)
        #expect(ElementType.f64.wider(holding: .infinity) == nil)
        #expect(ElementType.f32.wider(holding: .nan) == nil)
    }

    @Test func `an overflow that no type holds says what to lower`() {
        let overflow = RangeOverflow(count: 1, firstIndex: 3, magnitude: .infinity, type: .f64)
        #expect(
            overflow.description
                == "1 merged value overflows in the sum over the models; the first is element 3. Lower the weights or "
                + "\"lambda\".")
    }

    @Test func `copied values that overflow follow no weights`() {
        var overflow = RangeOverflow(count: 2, firstIndex: 3, magnitude: 1e5, type: .f16, isMerged: false)
        #expect(
            overflow.description
                == "2 copied values are finite but beyond F16, which ends at 65504.0; the first is element 3, the largest "
                + "magnitude 100000.0. BF16 would hold it: write \"dtype: bfloat16\".")
        overflow.magnitude = .infinity
        #expect(overflow.description.hasSuffix("the largest magnitude inf. No type holds it."))
    }

    @Test(arguments: [[Double.nan, 1, 2], [1, .nan, 2], [1, 2, .nan]]) func `extremes keep a NaN`(values: [Double]) {
        #expect(values.largest()?.isNaN == true)
        #expect(values.smallest()?.isNaN == true)
        #expect(Double.nan.clampedToZero.isNaN)
    }

    @Test func `extremes of numbers are the numbers'`() {
        #expect([3.0, -1, .infinity].largest() == .infinity)
        #expect([3.0, -1, 2].smallest() == -1)
        #expect([Double]().largest() == nil)
        #expect((-1.0).clampedToZero == 0)
        #expect(1.5.clampedToZero == 1.5)
    }
}
