extension JSONValue {
    /// The value as JSON text: on one line without spaces, or one member a line with `indent` spaces a level.
    public func text(indent: Int? = nil) -> String {
        var text = ""
        append(to: &text, indent: indent, level: 0)
        return text
    }

    private func append(to text: inout String, indent: Int?, level: Int) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let digits): text += digits
        case .string(let value): Self.appendQuoted(value, to: &text)
        case .array(let elements):
            Self.appendList(elements, "[", "]", to: &text, indent: indent, level: level) { element, text in
                element.append(to: &text, indent: indent, level: level + 1)
            }
        case .object(let members):
            Self.appendList(members, "{", "}", to: &text, indent: indent, level: level) { member, text in
                Self.appendQuoted(member.key, to: &text)
                text += indent == nil ? ":" : ": "
                member.value.append(to: &text, indent: indent, level: level + 1)
            }
        }
    }

    private static func appendList<Element>(
        _ elements: [Element],
        _ opening: String,
        _ closing: String,
        to text: inout String,
        indent: Int?,
        level: Int,
        body: (Element, inout String) -> Void
    ) {
        text += opening
        for (index, element) in elements.enumerated() {
            if index > 0 { text += "," }
            if let indent { text += "\n" + String(repeating: " ", count: indent * (level + 1)) }
            body(element, &text)
        }
        if let indent, !elements.isEmpty { text += "\n" + String(repeating: " ", count: indent * level) }
        text += closing
    }

    /// Quotes a string as the reference implementation does: it escapes only what JSON requires, and keeps UTF-8.
    public static func appendQuoted(_ value: String, to text: inout String) {
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{8}": text += "\\b"
            case "\u{C}": text += "\\f"
            case "\0"..<" ":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
