/// An error at one byte of a JSON text; the caller adds the file.
public struct JSONSyntaxError: Error, Equatable {
    /// The place of the byte, counted from the start of the text's file.
    public let offset: Int
    /// What stands there.
    public let found: String
    /// What could stand there.
    public let expected: String

    /// Names a place that breaks the syntax.
    public init(offset: Int, found: String, expected: String) {
        self.offset = offset
        self.found = found
        self.expected = expected
    }
}

/// Reads the tokens of a JSON text from left to right (RFC 8259), strictly and without recursion.
///
/// The bytes must be valid UTF-8. The callers check the whole text first and report the first bad byte.
public struct JSONScanner {
    private let bytes: [UInt8]
    private let end: Int
    /// The place of the next unread byte.
    public private(set) var offset: Int

    /// Scans `bytes[range]`; offsets in errors count from the start of `bytes`.
    public init(_ bytes: [UInt8], in range: Range<Int>) {
        self.bytes = bytes
        self.offset = range.lowerBound
        self.end = range.upperBound
    }

    /// The next byte after white space, or nil at the end.
    ///
    /// The byte stays unread.
    public mutating func peek() -> UInt8? {
        while offset < end, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[offset]) { offset += 1 }
        return offset < end ? bytes[offset] : nil
    }

    /// Skips `byte` if it comes next.
    public mutating func take(_ byte: UInt8) -> Bool {
        guard peek() == byte else { return false }
        offset += 1
        return true
    }

    /// Skips `byte`, which must come next.
    ///
    /// - Throws: The error at another byte.
    public mutating func expect(_ byte: UInt8) throws(JSONSyntaxError) {
        guard take(byte) else { throw unexpected("\"\(Character(Unicode.Scalar(byte)))\"") }
    }

    /// Skips a comma and says true, or the closing byte and says false.
    ///
    /// - Throws: The error at another byte.
    public mutating func separator(orEnd closing: UInt8) throws(JSONSyntaxError) -> Bool {
        if take(UInt8(ascii: ",")) { return true }
        guard take(closing) else { throw unexpected("\",\" or \"\(Character(Unicode.Scalar(closing)))\"") }
        return false
    }

    /// Skips one of the words true, false and null if it comes next.
    public mutating func take(word: StaticString) -> Bool {
        _ = peek()
        let text = word.description.utf8
        guard end - offset >= text.count, bytes[offset..<offset + text.count].elementsEqual(text) else { return false }
        offset += text.count
        return true
    }

    /// The error for an unexpected next token.
    public mutating func unexpected(_ expected: String) -> JSONSyntaxError {
        let next = peek()
        return JSONSyntaxError(offset: offset, found: Self.name(of: next), expected: expected)
    }

    /// The text of a number, as written: sign, digits, fraction, exponent.
    ///
    /// - Throws: The error at the byte that ends no number.
    public mutating func number() throws(JSONSyntaxError) -> String {
        _ = peek()
        let start = offset
        if offset < end, bytes[offset] == UInt8(ascii: "-") { offset += 1 }
        if offset < end, bytes[offset] == UInt8(ascii: "0") { offset += 1 } else { try digits() }
        if offset < end, bytes[offset] == UInt8(ascii: ".") {
            offset += 1
            try digits()
        }
        if offset < end, bytes[offset] | 0x20 == UInt8(ascii: "e") {
            offset += 1
            if offset < end, [UInt8(ascii: "+"), UInt8(ascii: "-")].contains(bytes[offset]) { offset += 1 }
            try digits()
        }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func digits() throws(JSONSyntaxError) {
        let start = offset
        while offset < end, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[offset]) { offset += 1 }
        guard offset > start else { throw here("a digit") }
    }

    // MARK: - Strings

    /// The value of a string, escapes resolved.
    ///
    /// - Throws: The error at the first byte that no string may hold.
    public mutating func string() throws(JSONSyntaxError) -> String {
        guard take(UInt8(ascii: "\"")) else { throw unexpected("a string") }
        let start = offset
        while offset < end {
            switch bytes[offset] {
            case UInt8(ascii: "\""):
                defer { offset += 1 }
                return String(decoding: bytes[start..<offset], as: UTF8.self)
            case UInt8(ascii: "\\"):
                return try escapedString(from: start)
            case 0..<0x20:
                throw here("no control character inside a string")
            default:
                offset += 1
            }
        }
        throw here("the end of the string")
    }

    private mutating func escapedString(from start: Int) throws(JSONSyntaxError) -> String {
        var value = Array(bytes[start..<offset])
        while offset < end {
            let byte = bytes[offset]
            if byte < 0x20 { throw here("no control character inside a string") }
            if byte == UInt8(ascii: "\\") {
                try value.append(contentsOf: escape())
                continue
            }
            offset += 1
            if byte == UInt8(ascii: "\"") { return String(decoding: value, as: UTF8.self) }
            value.append(byte)
        }
        throw here("the end of the string")
    }

    private static let plainEscapes: [UInt8: UInt8] = [
        0x22: 0x22, 0x5C: 0x5C, 0x2F: 0x2F, 0x62: 0x08, 0x66: 0x0C, 0x6E: 0x0A, 0x72: 0x0D, 0x74: 0x09,
    ]

    private mutating func escape() throws(JSONSyntaxError) -> [UInt8] {
        offset += 1
        guard offset < end else { throw here("an escaped character") }
        let byte = bytes[offset]
        if byte == UInt8(ascii: "u") { return Array(String(Character(try escapedScalar())).utf8) }
        guard let character = Self.plainEscapes[byte] else {
            throw here("one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")
        }
        offset += 1
        return [character]
    }

    private mutating func escapedScalar() throws(JSONSyntaxError) -> Unicode.Scalar {
        let first = try hexadecimal()
        if let scalar = Unicode.Scalar(first) { return scalar }
        // Only a high surrogate followed by an escaped low surrogate is a character.
        guard (0xD800..<0xDC00).contains(first), offset < end, bytes[offset] == UInt8(ascii: "\\") else {
            throw here("a surrogate pair")
        }
        offset += 1
        guard offset < end, bytes[offset] == UInt8(ascii: "u") else { throw here("a surrogate pair") }
        let second = try hexadecimal()
        guard (0xDC00..<0xE000).contains(second),
            let scalar = Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
        else { throw here("a surrogate pair") }
        return scalar
    }

    private mutating func hexadecimal() throws(JSONSyntaxError) -> UInt32 {
        offset += 1
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard offset < end, let digit = Character(Unicode.Scalar(bytes[offset])).hexDigitValue, bytes[offset] < 0x80
            else { throw here("four hexadecimal digits") }
            value = value << 4 | UInt32(digit)
            offset += 1
        }
        return value
    }

    /// The error for the byte at the offset itself, white space included.
    private func here(_ expected: String) -> JSONSyntaxError {
        JSONSyntaxError(offset: offset, found: Self.name(of: offset < end ? bytes[offset] : nil), expected: expected)
    }

    private static func name(of byte: UInt8?) -> String {
        guard let byte else { return "the end of the text" }
        let isPrintable = (0x21..<0x7F).contains(byte)
        return isPrintable ? "\"\(Character(Unicode.Scalar(byte)))\"" : "byte value \(byte)"
    }
}
