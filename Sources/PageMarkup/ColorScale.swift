import Glibc

/// Colours for values from none to most; they come in steps, so that the style sheet can replace them for dark mode.
package enum ColorScale {
    package static let stepCount = 20

    /// The step of a fraction; `nil` for a value that is not finite.
    ///
    /// A fraction above 1 has the last step.
    package static func step(of fraction: Double) -> Int? {
        guard fraction.isFinite else { return nil }
        return Int(min(max(fraction, 0), 1) * Double(stepCount - 1) + 0.5)
    }

    package static func className(_ step: Int) -> String { "heat-\(step)" }

    /// The colour of a step: from pale to deep on a light background, from deep to bright on a dark one.
    ///
    /// Lightness changes evenly in one hue, so that people with any colour vision can order the colours.
    package static func color(_ step: Int, isDark: Bool) -> String {
        "#"
            + components(step, isDark: isDark).map { component in
                let digits = String(Int(component.rounded()), radix: 16)
                return digits.count == 1 ? "0" + digits : digits
            }.joined()
    }

    /// Red, green and blue from 0 to 255.
    private static func components(_ step: Int, isDark: Bool) -> [Double] {
        let stops = isDark ? darkStops : lightStops
        let place = Double(min(max(step, 0), stepCount - 1)) / Double(stepCount - 1) * Double(stops.count - 1)
        let index = min(Int(place), stops.count - 2)
        let fraction = place - Double(index)
        return zip(stops[index], stops[index + 1]).map { from, to in from + (to - from) * fraction }
    }

    /// Whether white text contrasts more with a step than black text.
    ///
    /// Both contrasts are equal, and 4.6, where (L + 0.05)² = 1.05 · 0.05 for the relative luminance L.
    ///
    /// Source: WCAG 2.2, contrast ratio and relative luminance.
    package static func needsLightText(_ step: Int, isDark: Bool) -> Bool {
        let linear = components(step, isDark: isDark).map { component in
            let share = component.rounded() / 255
            return share <= 0.04045 ? share / 12.92 : pow((share + 0.055) / 1.055, 2.4)
        }
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] < 0.1791
    }

    private static let lightStops: [[Double]] = [
        [246, 248, 252], [201, 219, 239], [133, 176, 218], [66, 126, 186], [30, 82, 146], [13, 44, 92],
    ]
    private static let darkStops: [[Double]] = [
        [30, 36, 46], [30, 62, 102], [38, 96, 158], [84, 142, 204], [152, 193, 232], [226, 238, 250],
    ]
}
