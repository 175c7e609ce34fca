import Foundation
import Testing

@testable import PageMarkup

struct ColorScaleTests {
    /// The relative luminance of a colour; source: WCAG 2.2.
    private func luminance(_ color: String) throws -> Double {
        let value = try #require(Int(color.dropFirst(), radix: 16))
        let linear = [16, 8, 0].map { shift in
            let share = Double(value >> shift & 255) / 255
            return share <= 0.04045 ? share / 12.92 : pow((share + 0.055) / 1.055, 2.4)
        }
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    @Test(arguments: [false, true])
    func `the text of every step has a contrast of at least 4.5`(isDark: Bool) throws {
        for step in 0..<ColorScale.stepCount {
            let background = try luminance(ColorScale.color(step, isDark: isDark))
            let text = ColorScale.needsLightText(step, isDark: isDark) ? 1.0 : 0.0
            let contrast = (max(text, background) + 0.05) / (min(text, background) + 0.05)
            #expect(contrast >= 4.5, "\(step)")
        }
    }
}
