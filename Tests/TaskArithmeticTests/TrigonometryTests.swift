import Foundation
import TestSupport
import Testing

@testable import TaskArithmetic

/// Against the C library.
struct TrigonometryTests {
    @Test func `sine and cosine are those of the C library, at all angles`() {
        for step in -4000...4000 {
            let angle = Double(step) * 0.0037
            let found = Trigonometry.sineAndCosine(angle)
            // An angle of several turns loses the digits of its turns.
            let tolerance = 1e-15 * max(1, abs(angle))
            expectClose(found.sine, sin(angle), absolute: tolerance)
            expectClose(found.cosine, cos(angle), absolute: tolerance)
        }
        for exponent in -300..<0 {
            let angle = Double(sign: .plus, exponent: exponent, significand: 1.25)
            expectClose(Trigonometry.sineAndCosine(angle).sine, sin(angle), relative: 1e-15)
        }
    }

    @Test func `the angle of a cosine is that of the C library`() {
        for step in -10_000...10_000 {
            let cosine = Double(step) / 10_000
            expectClose(Trigonometry.arcCosine(cosine), acos(cosine), relative: 2e-15)
        }
        expectClose(Trigonometry.arcCosine(1 - 1e-12), acos(1 - 1e-12), relative: 1e-15)
        #expect(Trigonometry.arcCosine(1) == 0)
        #expect(Trigonometry.arcCosine(-1) == .pi)
    }
}
