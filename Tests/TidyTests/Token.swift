/// The smallest piece of Swift that the rules distinguish.
struct Token: Equatable {
    enum Kind: Equatable {
        /// A word: keyword, name, or a name in backticks (without them).
        case word
        /// A string literal; the text is the part between the quotes.
        case string
        case number
        /// One character of punctuation.
        case symbol
    }

    let kind: Kind
    let text: String
    /// The line of its beginning, counted from 1.
    let line: Int
    /// Whether only white space precedes it on its line.
    let isFirstOnLine: Bool

    func isWord(_ word: String) -> Bool { kind == .word && text == word }
    func isSymbol(_ symbol: String) -> Bool { kind == .symbol && text == symbol }
}

/// A comment, or one line of a block comment.
struct SourceComment: Equatable {
    let text: String
    /// The line, counted from 1.
    let line: Int
    /// Whether only white space precedes it on its line.
    let standsAlone: Bool

    var isDocumentation: Bool { text.hasPrefix("///") }
}
