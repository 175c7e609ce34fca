extension StringProtocol {
    /// The text in one line; characters that control a terminal or the text direction become escapes: `\n`, `\u{1b}`.
    ///
    /// Names and values come from files and peers. Every text for a person passes here at least once; a second pass
    /// changes nothing.
    public var printable: String { escaped { $0.isControl } }

    /// The same for text of several lines, which keeps its line feeds and tabs.
    public var printableLines: String { escaped { $0.isControl && $0 != "\n" && $0 != "\t" } }

    /// JSON with these characters as JSON escapes, such as `\u001b`; its value is unchanged.
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
        // A fast path for nearly all texts.
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
    /// Whether the character is invisible and has an effect.
    ///
    /// True for controls, line and paragraph separators, text directions and other invisible formats. False for the
    /// joiners that some scripts need between letters.
    fileprivate var isControl: Bool {
        if self == "\u{200C}" || self == "\u{200D}" { return false }
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: return true
        default: return false
        }
    }

    /// The character as an escape in Swift source.
    fileprivate var escape: String {
        switch self {
        case "\n": "\\n"
        case "\r": "\\r"
        case "\t": "\\t"
        default: "\\u{\(String(value, radix: 16))}"
        }
    }
}
