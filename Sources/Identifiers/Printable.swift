extension StringProtocol {
    /// The text in one line, with what controls a terminal or the direction of writing shown as an escape: `\n`,
    /// `\u{1b}`.
    ///
    /// Names and values come from files and peers. Everything that a person reads passes here once, or more often:
    /// what is printable stays as it is.
    public var printable: String { escaped { $0.isControl } }

    /// The same for text of several lines: its line feeds and tabs stay.
    public var printableLines: String { escaped { $0.isControl && $0 != "\n" && $0 != "\t" } }

    /// JSON with every such character as JSON escapes it: `\u001b`; it stands for the same value.
    public var printableJSON: String {
        guard unicodeScalars.contains(where: { $0.isControl && $0 != "\n" && $0 != "\t" }) else { return String(self) }
        var text = ""
        for scalar in unicodeScalars {
            guard scalar.isControl, scalar != "\n", scalar != "\t" else {
                text.unicodeScalars.append(scalar)
                continue
            }
            for unit in UTF16.encode(scalar) ?? .init() {
                let digits = String(unit, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return text
    }

    private func escaped(where isEscaped: (Unicode.Scalar) -> Bool) -> String {
        // Nearly all texts: no scalar needs to be looked at.
        guard utf8.contains(where: { $0 < 0x20 || $0 >= 0x7F }), unicodeScalars.contains(where: isEscaped) else {
            return String(self)
        }
        var text = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            if isEscaped(scalar) { text.append(contentsOf: scalar.escape.unicodeScalars) } else { text.append(scalar) }
        }
        return String(text)
    }
}

extension Unicode.Scalar {
    /// Whether it is not shown but does something.
    ///
    /// Controls, line and paragraph separators, directions of writing and other invisible formats do; those that join
    /// letters of some scripts are none.
    fileprivate var isControl: Bool {
        if self == "\u{200C}" || self == "\u{200D}" { return false }
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: return true
        default: return false
        }
    }

    /// As it would be written in the source of a program.
    fileprivate var escape: String {
        switch self {
        case "\n": "\\n"
        case "\r": "\\r"
        case "\t": "\\t"
        default: "\\u{\(String(value, radix: 16))}"
        }
    }
}
