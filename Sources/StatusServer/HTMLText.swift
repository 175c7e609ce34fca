import Identifiers

/// Texts as HTML, whatever they hold: in elements and in quoted attributes.
enum HTMLText {
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
}
