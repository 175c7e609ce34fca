import Identifiers

/// Texts as HTML, whatever they hold: in elements and in quoted attributes.
enum HTMLText {
    /// Most characters of a text: a message may be as long as whoever wrote it liked.
    static let charactersMax = 500

    static func escaped(_ text: String) -> String {
        var result = ""
        // Control characters may not stand in a document, not even as references.
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

    /// The text's beginning.
    static func shortened(_ text: String, to limit: Int = charactersMax) -> String {
        let kept = text.unicodeScalars.prefix(limit)
        let isWhole = kept.endIndex == text.unicodeScalars.endIndex
        return String(String.UnicodeScalarView(kept)) + (isWhole ? "" : "…")
    }
}
