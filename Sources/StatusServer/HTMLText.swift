import Identifiers

/// Escapes texts for HTML elements and quoted attributes.
enum HTMLText {
    /// The most characters of a text; a message may have any length.
    static let charactersMax = 500

    static func escaped(_ text: String) -> String {
        var result = ""
        // A document must not hold control characters, not even as references.
        for character in text.printableLines.unicodeScalars {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }

    /// The beginning of the text.
    static func shortened(_ text: String, to limit: Int = charactersMax) -> String {
        let kept = text.unicodeScalars.prefix(limit)
        let isWhole = kept.endIndex == text.unicodeScalars.endIndex
        return String(String.UnicodeScalarView(kept)) + (isWhole ? "" : "…")
    }
}
