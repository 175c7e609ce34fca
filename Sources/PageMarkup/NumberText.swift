/// Writes numbers for people.
package enum NumberText {
    /// With a fixed number of decimals, `−` for minus, and `–` for a value that is not finite.
    package static func fixed(_ value: Double, _ decimals: Int = 1) -> String {
        guard value.isFinite, abs(value) < 1e12 else { return value.isFinite ? scientific(value) : "–" }
        let scale = powerOfTen(min(max(decimals, 0), 6))
        let scaled = Int((abs(value) * scale).rounded())
        let sign = value < 0 && scaled > 0 ? "−" : ""
        let whole = scaled / Int(scale)
        guard decimals > 0 else { return "\(sign)\(whole)" }
        let fraction = String(scaled % Int(scale))
        return "\(sign)\(whole)." + String(repeating: "0", count: min(decimals, 6) - fraction.count) + fraction
    }

    /// With a sign, for differences.
    package static func signed(_ value: Double, _ decimals: Int = 1) -> String {
        let text = fixed(value, decimals)
        let isZero = text.allSatisfy { "0.".contains($0) }
        return value > 0 && !isZero && value.isFinite ? "+" + text : text
    }

    /// With as many decimals as the value has, at most six; for hyperparameters and ticks.
    package static func plain(_ value: Double) -> String {
        guard value != 0 else { return "0" }
        guard value.isFinite, abs(value) >= 1e-4, abs(value) < 1e12 else { return scientific(value) }
        return fixed(value, decimals(of: value, most: 6))
    }

    /// The number of decimals of a value.
    package static func decimals(of value: Double, most: Int) -> Int {
        guard value.isFinite, abs(value) < 1e12 else { return 0 }
        return (0..<most).first { decimals in
            let scaled = abs(value) * powerOfTen(decimals)
            return abs(scaled - scaled.rounded()) < 1e-6 * max(1, scaled)
        } ?? most
    }

    /// As `1.2e−7`.
    package static func scientific(_ value: Double) -> String {
        guard value.isFinite else { return "–" }
        guard value != 0 else { return "0" }
        var exponent = 0
        var mantissa = abs(value)
        while mantissa >= 9.95 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
        while mantissa < 0.995 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
        let digits = fixed(mantissa, decimals(of: mantissa, most: 1))
        return "\(value < 0 ? "−" : "")\(digits)e\(exponent < 0 ? "−" : "")\(abs(exponent))"
    }

    /// With three digits; very large and very small values with two and a power of ten.
    package static func significant(_ value: Double) -> String {
        guard value.isFinite, value != 0 else { return value == 0 ? "0" : "–" }
        guard abs(value) >= 1e-4, abs(value) < 999_999.5 else { return scientific(value) }
        var (decimals, limit) = (2, 9.995)
        while decimals > 0, abs(value) >= limit { (decimals, limit) = (decimals - 1, limit * 10) }
        limit = 1
        while decimals < 6, abs(value) < limit * 0.9995 { (decimals, limit) = (decimals + 1, limit / 10) }
        return fixed(value, decimals)
    }

    /// A whole number; from five digits on with narrow spaces between groups of three.
    package static func count(_ value: Int) -> String {
        let digits = String(value.magnitude)
        guard digits.count > 4 else { return value < 0 ? "−\(digits)" : digits }
        var text = ""
        for (position, digit) in digits.enumerated() {
            if position > 0, (digits.count - position) % 3 == 0 { text += "\u{202F}" }
            text.append(digit)
        }
        return value < 0 ? "−\(text)" : text
    }

    /// A number of bytes in the unit that suits it.
    package static func bytes(_ count: Double) -> String {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"]
        var (value, unit) = (count, 0)
        while value >= 1023.5, unit < units.count - 1 { (value, unit) = (value / 1024, unit + 1) }
        return "\(unit == 0 ? plain(value) : significant(value))\u{A0}\(units[unit])"
    }

    /// A duration in the most readable units.
    package static func duration(seconds: Double) -> String {
        guard seconds.isFinite, seconds >= 0 else { return "–" }
        guard seconds >= 119.5, seconds < 1e12 else { return duration(microseconds: seconds * 1e6) }
        let whole = Int(seconds.rounded())
        if whole < 7200 { return "\(whole / 60) min \(whole % 60) s" }
        return "\(count(whole / 3600)) h \(whole % 3600 / 60) min"
    }

    /// Several values as one text: `100`, or `0.1–0.2` when they differ, with equal decimals.
    package static func range(_ values: [Double], decimals: Int? = nil) -> String? {
        guard let least = values.min(), let largest = values.max() else { return nil }
        let text = { (value: Double) in decimals.map { fixed(value, $0) } ?? plain(value) }
        return least == largest ? text(least) : "\(text(least))–\(text(largest))"
    }

    /// A duration in the most readable unit.
    package static func duration(microseconds: Double) -> String {
        if microseconds < 1000 { return plain(rounded(microseconds)) + " µs" }
        if microseconds < 1e6 { return plain(rounded(microseconds / 1000)) + " ms" }
        return plain(rounded(microseconds / 1e6)) + " s"
    }

    /// Rounds to three digits.
    private static func rounded(_ value: Double) -> Double {
        guard value.isFinite, value > 1e-9 else { return value }
        var scale = 1.0
        while value * scale < 100 { scale *= 10 }
        return (value * scale).rounded() / scale
    }

    private static func powerOfTen(_ exponent: Int) -> Double {
        (0..<exponent).reduce(1) { product, _ in product * 10 }
    }
}
