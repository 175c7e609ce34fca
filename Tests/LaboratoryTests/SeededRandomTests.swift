import Laboratory
import Testing

struct SeededRandomTests {
    private func numbers(_ count: Int, seed: Int, purpose: String) -> [UInt64] {
        var random = SeededRandom(seed: seed, purpose: purpose)
        return (0..<count).map { _ in random.next() }
    }

    @Test func `the same seed and purpose give the same numbers`() {
        #expect(numbers(100, seed: 3, purpose: "batches") == numbers(100, seed: 3, purpose: "batches"))
    }

    // The expected numbers were computed by hand from the recurrence, with arbitrary-precision integers.
    @Test func `the numbers are those of SplitMix64 from the hashed purpose`() {
        // FNV-1a of the empty text is its offset basis, and seed 0 changes nothing.
        #expect(numbers(3, seed: 0, purpose: "") == Self.fromOffsetBasis)
    }

    private static let fromOffsetBasis: [UInt64] = [
        0xC381_7C01_6BA4_FF30, 0x100C_DAAC_C0BC_9316, 0x54C3_A569_ECF6_1B1B,
    ]

    @Test func `another seed or purpose shares no number`() {
        let first = Set(numbers(1000, seed: 0, purpose: "probes of a, sample 1"))
        for (seed, purpose) in [
            (1, "probes of a, sample 1"), (0, "probes of a, sample 2"), (-1, "probes of a, sample 1"),
        ] {
            #expect(first.isDisjoint(with: numbers(1000, seed: seed, purpose: purpose)))
        }
    }

    @Test func `normal numbers have the moments of the standard normal distribution`() {
        var random = SeededRandom(seed: 5, purpose: "moments")
        let count = 200_000
        var sums = [Double](repeating: 0, count: 5)
        for _ in 0..<count {
            let value = random.nextNormal()
            var power = 1.0
            for order in sums.indices {
                sums[order] += power
                power *= value
            }
        }
        // Five standard errors: sqrt((2k − 1)!! / count) for the moment of order k.
        let moments = sums.map { $0 / Double(count) }
        #expect(abs(moments[1]) < 5 * (1 / Double(count)).squareRoot())
        #expect(abs(moments[2] - 1) < 5 * (2 / Double(count)).squareRoot())
        #expect(abs(moments[3]) < 5 * (15 / Double(count)).squareRoot())
        #expect(abs(moments[4] - 3) < 5 * (96 / Double(count)).squareRoot())
    }

    @Test func `normal numbers of two purposes are uncorrelated`() {
        var left = SeededRandom(seed: 0, purpose: "probes of a, sample 1")
        var right = SeededRandom(seed: 0, purpose: "probes of a, sample 2")
        let count = 100_000
        var sum = 0.0
        for _ in 0..<count { sum += left.nextNormal() * right.nextNormal() }
        #expect(abs(sum / Double(count)) < 5 * (1 / Double(count)).squareRoot())
    }
}
