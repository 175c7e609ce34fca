/// Splits Swift text into tokens and comments.
///
/// The lexer does not know regular expression literals: a quotation mark in one would begin a string.
struct Lexer {
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var lineHasContent = false
    private(set) var tokens: [Token] = []
    private(set) var comments: [SourceComment] = []

    init(_ text: String) {
        bytes = Array(text.utf8)
        while position < bytes.count { scanNext() }
    }

    private mutating func scanNext() {
        let byte = bytes[position]
        if byte == .newline {
            position += 1
            line += 1
            lineHasContent = false
        } else if byte == .space || byte == .tab {
            position += 1
        } else if starts("//") {
            scanLineComment()
        } else if starts("/*") {
            scanBlockComment()
        } else if let hashCount = hashesBeforeQuote() {
            scanString(hashCount: hashCount)
        } else if byte == .backtick {
            scanBackticks()
        } else if byte.isWordByte {
            scanWord()
        } else {
            append(.symbol, from: position, to: position + 1, line: line)
            position += 1
        }
    }

    // MARK: - Comments

    private mutating func scanLineComment() {
        let start = position
        while position < bytes.count, bytes[position] != .newline { position += 1 }
        comments.append(.init(text: text(start, position), line: line, standsAlone: !lineHasContent))
    }

    private mutating func scanBlockComment() {
        var depth = 0
        var start = position
        repeat {
            if starts("/*") {
                (depth, position) = (depth + 1, position + 2)
            } else if starts("*/") {
                (depth, position) = (depth - 1, position + 2)
            } else {
                if bytes[position] == .newline {
                    comments.append(.init(text: text(start, position), line: line, standsAlone: !lineHasContent))
                    (line, start, lineHasContent) = (line + 1, position + 1, false)
                }
                position += 1
            }
        } while depth > 0 && position < bytes.count
        comments.append(.init(text: text(start, position), line: line, standsAlone: !lineHasContent))
    }

    // MARK: - Strings

    /// The number of `#` before a quotation mark that begins here, or nil if no string begins here.
    private func hashesBeforeQuote() -> Int? {
        var end = position
        while end < bytes.count, bytes[end] == .hash { end += 1 }
        return end < bytes.count && bytes[end] == .quote ? end - position : nil
    }

    private mutating func scanString(hashCount: Int) {
        let (start, startLine) = (position, line)
        skipString(hashCount: hashCount)
        let margin = hashCount + (bytes[(start + hashCount)...].starts(with: [.quote, .quote, .quote]) ? 3 : 1)
        let isTerminated = position - start >= 2 * margin
        append(.string, from: start + margin, to: isTerminated ? position - margin : position, line: startLine)
    }

    /// Moves behind the string that begins here; a line's end closes a single-line string, so that errors stay local.
    private mutating func skipString(hashCount: Int) {
        position += hashCount
        let quotes = starts("\"\"\"") && !starts("\"\"\"\"\"\"") ? 3 : 1
        position += quotes
        let closing = [UInt8](repeating: .quote, count: quotes) + [UInt8](repeating: .hash, count: hashCount)
        let escape = [.backslash] + [UInt8](repeating: .hash, count: hashCount)
        while position < bytes.count {
            if bytes[position...].starts(with: closing) {
                position += closing.count
                return
            }
            if bytes[position...].starts(with: escape) {
                position += escape.count
                skipEscape()
            } else if bytes[position] == .newline {
                if quotes == 1 { return }
                (line, position) = (line + 1, position + 1)
            } else {
                position += 1
            }
        }
    }

    /// Moves behind the text after a backslash: an interpolation up to its closing parenthesis, or one character.
    private mutating func skipEscape() {
        guard starts("(") else {
            if position < bytes.count, bytes[position] != .newline { position += 1 }
            return
        }
        var depth = 0
        repeat {
            if let hashCount = hashesBeforeQuote() {
                skipString(hashCount: hashCount)
                continue
            }
            if starts("(") { depth += 1 }
            if starts(")") { depth -= 1 }
            if bytes[position] == .newline { line += 1 }
            position += 1
        } while depth > 0 && position < bytes.count
    }

    // MARK: - Words

    private mutating func scanBackticks() {
        let start = position + 1
        position = start
        while position < bytes.count, bytes[position] != .backtick, bytes[position] != .newline { position += 1 }
        append(.word, from: start, to: position, line: line)
        position = min(position + 1, bytes.count)
    }

    private mutating func scanWord() {
        let start = position
        while position < bytes.count, bytes[position].isWordByte { position += 1 }
        append(bytes[start].isDigit ? .number : .word, from: start, to: position, line: line)
    }

    private mutating func append(_ kind: Token.Kind, from start: Int, to end: Int, line: Int) {
        tokens.append(Token(kind: kind, text: text(start, end), line: line, isFirstOnLine: !lineHasContent))
        lineHasContent = true
    }

    private func starts(_ prefix: StaticString) -> Bool {
        guard position + prefix.utf8CodeUnitCount <= bytes.count else { return false }
        return prefix.withUTF8Buffer { bytes[position...].starts(with: $0) }
    }

    private func text(_ start: Int, _ end: Int) -> String { String(decoding: bytes[start..<end], as: UTF8.self) }
}

extension UInt8 {
    fileprivate static let newline = UInt8(ascii: "\n")
    fileprivate static let space = UInt8(ascii: " ")
    fileprivate static let tab = UInt8(ascii: "\t")
    fileprivate static let hash = UInt8(ascii: "#")
    fileprivate static let quote = UInt8(ascii: "\"")
    fileprivate static let backslash = UInt8(ascii: "\\")
    fileprivate static let backtick = UInt8(ascii: "`")

    fileprivate var isDigit: Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= self }

    /// Whether a byte is a letter, a digit, an underscore, a dollar sign, or beyond ASCII.
    fileprivate var isWordByte: Bool {
        let letter = self | 0x20
        return isDigit || UInt8(ascii: "a")...UInt8(ascii: "z") ~= letter || self == UInt8(ascii: "_")
            || self == UInt8(ascii: "$") || self >= 0x80
    }
}
