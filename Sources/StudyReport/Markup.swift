/// A piece of HTML or SVG.
///
/// Text enters only through ``text(_:)`` and attributes, and is escaped when the piece is written. So no name can
/// become markup. The written text is valid as both HTML and XML.
indirect enum Markup: Equatable {
    case text(String)
    case element(name: String, attributes: [Attribute], children: [Markup])
    /// This module's own style rules, which are not escaped.
    case style(String)

    struct Attribute: Equatable {
        let name: String
        let value: String
    }

    /// An element; attributes with the value `nil` are left out.
    static func tag(
        _ name: String,
        _ attributes: KeyValuePairs<String, String?> = [:],
        _ children: [Markup] = []
    ) -> Markup {
        .element(
            name: name,
            attributes: attributes.compactMap { name, value in value.map { Attribute(name: name, value: $0) } },
            children: children
        )
    }

    /// An element around text.
    static func tag(_ name: String, _ attributes: KeyValuePairs<String, String?> = [:], _ text: String) -> Markup {
        tag(name, attributes, [.text(text)])
    }

    var html: String {
        var text = ""
        write(to: &text)
        return text
    }

    private func write(to output: inout String) {
        switch self {
        case .text(let text): output += text.escapedForMarkup
        case .style(let rules): output += "<style>\n\(rules)</style>\n"
        case .element(let name, let attributes, let children):
            output += "<\(name)"
            for attribute in attributes { output += " \(attribute.name)=\"\(attribute.value.escapedForMarkup)\"" }
            let line = Self.inline.contains(name) ? "" : "\n"
            guard !children.isEmpty || !Self.withoutContent.contains(name) else {
                output += " />\(line)"
                return
            }
            output += ">"
            for child in children { child.write(to: &output) }
            output += "</\(name)>\(line)"
        }
    }

    /// Elements without a closing tag; HTML demands a closing tag for all others, even empty ones.
    private static let withoutContent: Set<String> = ["meta", "col", "rect", "line", "path", "polyline", "polygon"]

    /// Elements after which a line break would show as a space.
    private static let inline: Set<String> = ["span", "strong", "small", "a", "th", "td", "text", "title", "svg"]
}

extension String {
    /// Escapes the text for the content or an attribute's value of HTML and XML.
    ///
    /// Characters that XML forbids even when escaped become U+FFFD.
    var escapedForMarkup: String {
        var escaped = ""
        escaped.unicodeScalars.reserveCapacity(utf8.count)
        for scalar in unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            case "\n", "\t": escaped.unicodeScalars.append(scalar)
            case _ where scalar.isControl: escaped += "\u{FFFD}"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
