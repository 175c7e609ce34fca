import Identifiers

/// A table of text; columns are as wide as their widest cell, and numbers are aligned to the right.
struct TextTable {
    let headings: [String]
    private var rows: [[String]] = []

    init(_ headings: [String]) {
        self.headings = headings
    }

    mutating func add(_ row: [String]) {
        rows.append(row.map(\.printable))
    }

    /// The lines, joined.
    var text: String {
        let all = [headings] + rows
        let widths = headings.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        let isNumeric = headings.indices.map { column in
            !rows.isEmpty && rows.allSatisfy { $0[column].first.map { "0123456789-–.".contains($0) } ?? true }
        }
        return all.map { row in
            var line = ""
            for column in headings.indices {
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                line += isNumeric[column] ? padding + row[column] : row[column] + padding
                line += "  "
            }
            while line.last == " " { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }
}

/// Writes numbers for people.
enum Quantity {
    /// `1.5 GiB`.
    static func bytes(_ count: UInt64) -> String {
        var value = Double(count)
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024 { return unit == "B" ? "\(count) B" : "\(rounded(value, 1)) \(unit)" }
            value /= 1024
        }
        return "\(rounded(value, 1)) TiB"
    }

    /// `250.5 MB/s`: decimal, as disks and networks state it.
    static func rate(_ bytes: UInt64, within seconds: Double) -> String {
        "\(rounded(Double(bytes) / max(seconds, 1e-3) / 1e6, 1)) MB/s"
    }

    /// `2.4 s`, `24 s`, `7 min`, `3.5 h`: as precise as a prediction.
    static func about(seconds: Double) -> String {
        switch seconds {
        case ..<9.95: "\(rounded(seconds, 1)) s"
        case ..<119.5: "\(rounded(seconds, 0)) s"
        case ..<7170: "\(rounded(seconds / 60, 0)) min"
        default: "\(rounded(seconds / 3600, 1)) h"
        }
    }

    /// `0:01:15`.
    static func time(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e7 else { return "–" }
        let whole = Int(max(0, seconds.rounded()))
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(whole / 3600):\(two(whole / 60 % 60)):\(two(whole % 60))"
    }

    /// With a given number of decimals.
    static func rounded(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite else { return "–" }
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        guard abs(value) < 1e12 else { return scientific(value) }
        let scaled = Int((abs(value) * scale).rounded())
        let sign = value < 0 && scaled > 0 ? "-" : ""
        guard decimals > 0 else { return "\(sign)\(scaled)" }
        let fraction = String(scaled % Int(scale))
        return "\(sign)\(scaled / Int(scale)).\(String(repeating: "0", count: decimals - fraction.count))\(fraction)"
    }

    /// `1.2e-07`.
    static func scientific(_ value: Double) -> String {
        guard value != 0, value.isFinite else { return value == 0 ? "0" : "–" }
        var exponent = 0
        var mantissa = abs(value)
        while mantissa >= 9.95 {
            mantissa /= 10
            exponent += 1
        }
        while mantissa < 0.995 {
            mantissa *= 10
            exponent -= 1
        }
        let digits = abs(exponent) < 10 ? "0\(abs(exponent))" : "\(abs(exponent))"
        return "\(value < 0 ? "-" : "")\(rounded(mantissa, 1))e\(exponent < 0 ? "-" : "+")\(digits)"
    }
}
