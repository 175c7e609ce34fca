import Identifiers
import PageMarkup

/// Escapes texts for HTML elements and quoted attributes.
enum HTMLText {
    /// The most characters of a text; a message may have any length.
    static let charactersMax = 500

    static func escaped(_ text: String) -> String { text.printableLines.escapedForMarkup }

    /// The beginning of the text.
    static func shortened(_ text: String, to limit: Int = charactersMax) -> String {
        let kept = text.unicodeScalars.prefix(limit)
        let isWhole = kept.endIndex == text.unicodeScalars.endIndex
        return String(String.UnicodeScalarView(kept)) + (isWhole ? "" : "…")
    }
}
