import TestSupport
import Testing

@testable import RandomNumbers

struct NormalQuantileTests {
    /// The values are from scipy.special.ndtri at (word + ½)/2³².
    @Test func `quantiles are those of scipy, in the middle, in the tails and where they meet`() {
        let expected: [(UInt32, Double)] = [
            (0, -6.3379577545537895), (1, -6.166429517819751), (0x3039, -4.535422762090429),
            (0x1000_0000, -1.5341205434059566), (0x1333_3333, -1.4395314704450153),
            (0x7FFF_FFFF, -2.918099372916623e-10), (0x8000_0000, 2.918099372916623e-10),
            (0xE000_0000, 1.1503493809415328), (.max, 6.3379577545537895),
        ]
        let found = expected.map { NormalQuantile.value(at: (Double($0.0) + 0.5) * 0x1p-32) }
        expectClose(found, expected.map { $0.1 }, relative: 2e-15)
    }

    @Test func `the quantile is odd about one half`() {
        for word: UInt32 in [0, 5, 0x0FFF_0000, 0x4000_0000] {
            #expect(RandomStream.normal(word) == -RandomStream.normal(.max - word))
        }
    }

    @Test func `the logarithm is exact where the result is and known elsewhere`() {
        #expect(NormalQuantile.logarithm(of: 1) == 0)
        expectClose(
            [0.5, 2, 0.1, 1e-10].map { NormalQuantile.logarithm(of: $0) },
            [-0.6931471805599453, 0.6931471805599453, -2.302585092994046, -23.025850929940457], relative: 4e-16)
    }
}
