import PageMarkup

/// Numbers of a report in the notation of the page.
enum NumberWords {
    /// A setting with every digit that a person wrote.
    static func exact(_ value: Double) -> String {
        guard value.isFinite, value != 0 else { return value == 0 ? "0" : "–" }
        let isPlain = abs(value) >= 1e-4 && abs(value) < 1e12
        let hasFewDecimals = NumberText.decimals(of: value, most: 7) < 7
        return isPlain && hasFewDecimals ? NumberText.plain(value) : "\(value)".replacing("-", with: "−")
    }

    /// A count as it is, and another number with three digits.
    static func short(_ value: Double) -> String {
        Int(exactly: value).map(NumberText.count) ?? NumberText.significant(value)
    }

    /// A share as percent.
    static func percent(_ share: Double) -> String {
        guard share.isFinite else { return "–" }
        let percent = 100 * share
        return (percent == 0 || abs(percent) >= 0.095 ? NumberText.fixed(percent) : NumberText.scientific(percent))
            + " %"
    }

    /// The least and the largest of the values, or the one value.
    static func range(_ values: [Double]) -> String? {
        let finite = values.filter(\.isFinite)
        guard let least = finite.min(), let largest = finite.max() else { return nil }
        let (from, to) = (NumberText.significant(least), NumberText.significant(largest))
        return from == to ? from : "\(from) to \(to)"
    }

    /// A number with its noun: `1 layer`, `12 layers`.
    static func count(_ number: Int, _ noun: String) -> String {
        "\(NumberText.count(number)) \(noun)\(number == 1 ? "" : "s")"
    }
}
