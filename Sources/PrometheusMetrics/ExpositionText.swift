/// Prometheus's text format, version 0.0.4.
///
/// Source: prometheus.io/docs/instrumenting/exposition_formats.
public enum ExpositionText {
    /// The content type of an answer with this text.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Writes one family with its series; nothing when it has no series.
    static func family(_ family: MetricFamily, _ series: [(key: [String], value: Series.Value)]) -> String {
        guard !series.isEmpty else { return "" }
        var text = "# HELP \(family.name) \(escaped(family.help, quotes: false))\n"
        switch family.kind {
        case .counter: text += "# TYPE \(family.name) counter\n"
        case .gauge: text += "# TYPE \(family.name) gauge\n"
        case .histogram: text += "# TYPE \(family.name) histogram\n"
        }
        for (values, value) in series {
            let labels = zip(family.labels, values).map { "\($0)=\"\(escaped($1, quotes: true))\"" }
            if case .histogram(let bounds) = family.kind {
                text += histogram(family.name, labels, bounds, value)
            } else {
                text += line(family.name, labels, value.number)
            }
        }
        return text
    }

    private static func histogram(
        _ name: String, _ labels: [String], _ bounds: [Double], _ value: Series.Value
    ) -> String {
        var text = ""
        var total: UInt64 = 0
        for (bound, count) in zip(bounds + [.infinity], value.counts) {
            total += count
            text += line("\(name)_bucket", labels + ["le=\"\(number(bound))\""], Double(total))
        }
        return text + line("\(name)_sum", labels, value.number) + line("\(name)_count", labels, Double(total))
    }

    private static func line(_ name: String, _ labels: [String], _ value: Double) -> String {
        let braces = labels.isEmpty ? "" : "{\(labels.joined(separator: ","))}"
        return "\(name)\(braces) \(number(value))\n"
    }

    /// Writes a number in Go's format.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value), whole.magnitude < 1 << 53 { return "\(whole)" }
        return "\(value)"
    }

    /// Escapes a backslash and a newline everywhere, and a quote within quotes.
    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }
}
