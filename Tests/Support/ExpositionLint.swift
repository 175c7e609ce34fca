/// The faults of a text of metrics: in the format, and in the conventions for names.
///
/// The rules and their sentences are those of `promtool check metrics` (prometheus/client_golang,
/// testutil/promlint/validations) and of the text format 0.0.4.
public struct ExpositionLint {
    private struct Family {
        var help: String?
        var type: String?
        var series: Set<String> = []
    }

    private static let units = [
        "volts": "volts", "amperes": "amperes", "joules": "joules", "meters": "meters", "grams": "grams",
        "celsius": "celsius", "milliseconds": "seconds", "microseconds": "seconds", "nanoseconds": "seconds",
        "minutes": "seconds", "hours": "seconds", "days": "seconds", "kilobytes": "bytes", "megabytes": "bytes",
        "gigabytes": "bytes", "kibibytes": "bytes", "mebibytes": "bytes", "gibibytes": "bytes", "bits": "bytes",
        "percent": "ratio", "percents": "ratio",
    ]
    private static let abbreviations: Set<String> = [
        "s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d",
    ]

    private var families: [String: Family] = [:]
    private var current: String?
    private var ended: Set<String> = []
    private var problems: [String] = []

    /// All faults of a text; empty without faults.
    public static func problems(of text: String) -> [String] {
        var lint = ExpositionLint()
        if !text.hasSuffix("\n") { lint.problems.append("the last line has no end") }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            lint.read(String(line))
        }
        for (name, family) in lint.families.sorted(by: { $0.key < $1.key }) { lint.judge(name, family) }
        return lint.problems
    }

    // MARK: - Format

    private mutating func read(_ line: String) {
        if line.isEmpty { return }
        guard line.hasPrefix("#") else { return readSample(line) }
        let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
        guard words.count == 4, words[0] == "#", ["HELP", "TYPE"].contains(words[1]) else { return }
        let name = words[2]
        enter(name)
        if words[1] == "HELP" {
            if families[name]?.help != nil { problems.append("\(name): a second HELP line") }
            if Self.isBadlyEscaped(words[3], quotes: false) { problems.append("\(name): bad escape in HELP") }
            families[name]?.help = words[3]
        } else {
            if families[name]?.type != nil { problems.append("\(name): a second TYPE line") }
            if families[name]?.series.isEmpty == false { problems.append("\(name): TYPE after samples") }
            if !["counter", "gauge", "histogram", "summary", "untyped"].contains(words[3]) {
                problems.append("\(name): unknown type \(words[3])")
            }
            families[name]?.type = words[3]
        }
    }

    private mutating func enter(_ name: String) {
        if current != name {
            if let current { ended.insert(current) }
            if ended.contains(name) { problems.append("\(name): lines of one metric are not together") }
            current = name
        }
        if families[name] == nil { families[name] = Family() }
    }

    private mutating func readSample(_ line: String) {
        guard let (name, labels, value) = Self.parts(of: line) else {
            problems.append("malformed line: \(line)")
            return
        }
        if Double(value.replacing("Inf", with: "inf")) == nil { problems.append("\(name): malformed value \(value)") }
        var family = name
        for suffix in ["_bucket", "_sum", "_count"] where name.hasSuffix(suffix) {
            let base = String(name.dropLast(suffix.count))
            if let type = families[base]?.type, type == "histogram" || type == "summary" { family = base }
        }
        enter(family)
        let series = name + "{" + labels.map { "\($0.0)=\($0.1)" }.sorted().joined(separator: ",") + "}"
        if families[family]?.series.insert(series).inserted == false {
            problems.append("\(name): duplicate series \(series)")
        }
        for (label, text) in labels {
            if label == "le" && !name.hasSuffix("_bucket") {
                problems.append("\(name): non-histogram metrics should not have \"le\" label")
            }
            if label == "quantile" {
                problems.append("\(name): non-summary metrics should not have \"quantile\" label")
            }
            if !Self.isSnakeCase(label) {
                problems.append("\(name): label names should be written in 'snake_case' not 'camelCase'")
            }
            if Self.isBadlyEscaped(text, quotes: true) { problems.append("\(name): bad escape in a label's value") }
        }
        if Set(labels.map(\.0)).count != labels.count { problems.append("\(name): a label stands there twice") }
    }

    /// Name, labels and value of a sample.
    private static func parts(of line: String) -> (name: String, labels: [(String, String)], value: String)? {
        let pattern = /([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/
        guard let match = line.wholeMatch(of: pattern) else { return nil }
        var labels: [(String, String)] = []
        var rest = match.2.map { Substring($0) } ?? ""
        let label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)",?/
        while let found = rest.prefixMatch(of: label) {
            labels.append((String(found.1), String(found.2)))
            rest = rest[found.range.upperBound...]
        }
        return rest.isEmpty ? (String(match.1), labels, String(match.3)) : nil
    }

    private static func isBadlyEscaped(_ text: String, quotes: Bool) -> Bool {
        let allowed: [Character] = quotes ? ["\\", "n", "\""] : ["\\", "n"]
        var characters = Array(text)[...]
        while let character = characters.popFirst() {
            guard character == "\\" else { continue }
            guard let next = characters.popFirst(), allowed.contains(next) else { return true }
        }
        return false
    }

    // MARK: - Names

    private mutating func judge(_ name: String, _ family: Family) {
        func complain(_ sentence: String) { problems.append("\(name): \(sentence)") }
        let words = name.split(separator: "_").map(String.init)
        if family.help?.isEmpty != false { complain("no help text") }
        if family.type == nil { complain("no type") }
        if family.series.isEmpty { complain("no series") }
        if family.type == "counter" {
            if !name.hasSuffix("_total") { complain("counter metrics should have \"_total\" suffix") }
        } else if name.hasSuffix("_total") {
            complain("non-counter metrics should not have \"_total\" suffix")
        }
        for suffix in ["_bucket", "_count", "_sum"] where name.hasSuffix(suffix) {
            complain("non-histogram and non-summary metrics should not have \"\(suffix)\" suffix")
        }
        for word in words {
            if let base = Self.units[word], base != word {
                complain("use base unit \"\(base)\" instead of \"\(word)\"")
            }
            if Self.abbreviations.contains(word) { complain("metric names should not contain abbreviated units") }
            if ["counter", "gauge", "histogram", "summary"].contains(word) {
                complain("metric name should not include type '\(word)'")
            }
        }
        if name.contains(":") { complain("metric names should not contain ':'") }
        if !Self.isSnakeCase(name) { complain("metric names should be written in 'snake_case' not 'camelCase'") }
    }

    private static func isSnakeCase(_ name: String) -> Bool {
        name.wholeMatch(of: /.*[a-z][A-Z].*/) == nil
    }
}
