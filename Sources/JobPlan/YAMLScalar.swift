import Yams

/// The meaning of a plain scalar in YAML 1.1, as mergekit reads it (PyYAML): `yes` is true, `017` is 15, `1:30` is 90.
///
/// Source: yaml.org/type (bool, int, float, null) as PyYAML's resolver implements them.
enum YAMLScalar: Equatable {
    case null
    case bool(Bool)
    /// A number in decimal notation.
    case number(Double)
    /// A number that is written in octal, hexadecimal, binary or base 60.
    case foreignNumber(Double)
    /// Any other scalar, and every quoted one.
    case text(String)

    init(_ scalar: Node.Scalar) {
        guard scalar.style == .plain else {
            self = .text(scalar.string)
            return
        }
        let text = scalar.string
        if Self.nulls.contains(text) {
            self = .null
        } else if let truth = Self.truths[text] {
            self = .bool(truth)
        } else if let value = Self.foreign(text) {
            self = .foreignNumber(value)
        } else if let value = Self.decimal(text) {
            self = .number(value)
        } else {
            self = .text(text)
        }
    }

    /// The value as a number: truths are 1 and 0, and texts are read as numbers, as in pydantic; `nil` for other
    /// values.
    var number: Double? {
        switch self {
        case .null: nil
        case .bool(let truth): truth ? 1 : 0
        case .number(let value), .foreignNumber(let value): value
        case .text(let text): Self.decimal(text.trimmed)
        }
    }

    /// The value as a truth: also 1, 0 and pydantic's words; `nil` for other values.
    var truth: Bool? {
        switch self {
        case .bool(let truth): return truth
        case .number(1): return true
        case .number(0): return false
        case .null, .number, .foreignNumber: return nil
        case .text(let text):
            let words = ["true": true, "t": true, "yes": true, "y": true, "on": true, "1": true]
            let others = ["false": false, "f": false, "no": false, "n": false, "off": false, "0": false]
            return words[text.lowercased()] ?? others[text.lowercased()]
        }
    }

    // MARK: - Notations

    private static let nulls: Set<String> = ["", "~", "null", "Null", "NULL"]

    private static let truths: [String: Bool] = {
        let words = [("yes", true), ("no", false), ("true", true), ("false", false), ("on", true), ("off", false)]
        return Dictionary(
            uniqueKeysWithValues: words.flatMap { word, truth in
                [word, word.prefix(1).uppercased() + word.dropFirst(), word.uppercased()].map { ($0, truth) }
            })
    }()

    /// Octal (`017`), hexadecimal, binary, and base 60 (`1:30`).
    private static func foreign(_ text: String) -> Double? {
        let isNegative = text.hasPrefix("-")
        let digits = text.drop { $0 == "-" || $0 == "+" }.filter { $0 != "_" }
        guard text.count - digits.count <= 1 + text.filter({ $0 == "_" }).count else { return nil }
        let sign: Double = isNegative ? -1 : 1
        if digits.hasPrefix("0x"), let value = Int(digits.dropFirst(2), radix: 16) { return sign * Double(value) }
        if digits.hasPrefix("0b"), let value = Int(digits.dropFirst(2), radix: 2) { return sign * Double(value) }
        if digits.count > 1, digits.hasPrefix("0"), digits.allSatisfy({ ("0"..."7").contains($0) }) {
            return Int(digits, radix: 8).map { sign * Double($0) }
        }
        return base60(digits).map { sign * $0 }
    }

    private static func base60(_ digits: String) -> Double? {
        let parts = digits.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count > 1, parts.first?.first?.isNumber ?? false else { return nil }
        var value = 0.0
        for (position, part) in parts.enumerated() {
            let isLast = position == parts.count - 1
            guard let number = decimal(String(part)), part.allSatisfy({ $0.isNumber || (isLast && $0 == ".") }),
                position == 0 || number < 60
            else { return nil }
            value = value * 60 + number
        }
        return value
    }

    /// A decimal number, also with underscores between digits, but not infinity or another notation.
    private static func decimal(_ text: String) -> Double? {
        let isPlain = text.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || "+-.eE_".utf8.contains(byte)
        }
        guard isPlain, text.utf8.contains(where: { (0x30...0x39).contains($0) }), text.utf8.first != 0x5F else {
            return nil
        }
        let digits = text.filter { $0 != "_" }
        let value = Double(digits.hasSuffix(".") ? String(digits.dropLast()) : digits)
        return value.flatMap { $0.isFinite ? $0 : nil }
    }
}

extension String {
    fileprivate var trimmed: String {
        let isSpace = { (character: Character) in character.isWhitespace }
        return String(drop(while: isSpace).reversed().drop(while: isSpace).reversed())
    }
}
