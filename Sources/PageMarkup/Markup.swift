/// A piece of HTML or SVG.
///
/// Text enters only through ``text(_:)`` and attributes, and is escaped when the piece is written. So no name can
/// become markup. The written text is valid as both HTML and XML.
package indirect enum Markup: Equatable {
    case text(String)
    case element(name: String, attributes: [Attribute], children: [Markup])
    /// A page's own style rules, which are not escaped.
    case style(String)

    package struct Attribute: Equatable {
        package let name: String
        package let value: String

        package init(name: String, value: String) {
            (self.name, self.value) = (name, value)
        }
    }

    /// An element; attributes with the value `nil` are left out.
    package static func tag(
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
    package static func tag(_ name: String, _ attributes: KeyValuePairs<String, String?> = [:], _ text: String)
        -> Markup
    {
        tag(name, attributes, [.text(text)])
    }

    package var html: String {
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
    private static let inline: Set<String> = [
        "span", "strong", "small", "a", "bdi", "code", "pre", "th", "td", "text", "title", "svg",
    ]
}

extension String {
    /// Escapes the text for the content or an attribute's value of HTML and XML.
    ///
    /// Characters that XML forbids even when escaped become U+FFFD.
    package var escapedForMarkup: String {
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

extension Unicode.Scalar {
    /// Whether a character is a control character, or changes the direction or the lines of a text.
    package var isControl: Bool {
        switch value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069, 0xFFFE...0xFFFF: true
        default: false
        }
    }
}

extension Markup {
    /// Names with their values.
    package static func definitions(_ pairs: [(String, String)], class name: String) -> Markup {
        .tag(
            "dl",
            ["class": name],
            pairs.map { name, value in .tag("div", [:], [.tag("dt", [:], name), .tag("dd", [:], value)]) }
        )
    }

    /// A part of the page that scrolls when it is wider than the window.
    ///
    /// Its name for screen readers says what it shows, and then its kind.
    package static func scrolling(_ name: String, kind: String = "table", _ content: Markup) -> Markup {
        .tag("div", ["class": "wide", "role": "region", "aria-label": "\(name), \(kind)", "tabindex": "0"], [content])
    }
}
