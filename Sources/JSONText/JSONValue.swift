public import SystemPackage

/// A JSON value that keeps what a rewrite must not lose: the order of keys and the digits of numbers.
///
/// It is meant for the small texts beside tensors: shard indexes, `config.json`, lists inside metadata strings.
public indirect enum JSONValue: Equatable, Sendable {
    /// The word null.
    case null
    /// The words true and false.
    case bool(Bool)
    /// A number exactly as written.
    case number(String)
    /// A string with its escapes resolved.
    case string(String)
    /// A list.
    case array([JSONValue])
    /// An object: its members in the order of the text, every key once.
    case object([Member])

    /// A key and its value.
    public struct Member: Equatable, Sendable {
        /// The key, escapes resolved.
        public let key: String
        /// The value.
        public let value: JSONValue

        /// Pairs a key with a value.
        public init(_ key: String, _ value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    /// The deepest nesting of objects and lists.
    ///
    /// Deeper text is refused, so that hostile text cannot exhaust the stack.
    static let depthLimit = 64

    /// Parses a whole text; a key that occurs twice in one object is refused.
    ///
    /// `file` is used only in errors.
    ///
    /// - Throws: ``JSONError/malformed(file:offset:found:expected:)`` or
    ///   ``JSONError/duplicateKey(file:object:key:)``; no value is made.
    public init(parsing bytes: [UInt8], file: FilePath) throws(JSONError) {
        if let offset = firstInvalidUTF8(in: bytes, 0..<bytes.count) {
            let found = "byte value \(bytes[offset])"
            throw .malformed(file: file, offset: offset, found: found, expected: "UTF-8")
        }
        var parser = JSONValueParser(scanner: JSONScanner(bytes, in: 0..<bytes.count), file: file)
        self = try parser.wholeText()
    }

    /// The value of a key of an object, or nil.
    public subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    /// The string, if the value is one.
    public var stringValue: String? {
        guard case .string(let value) = self else { return nil }
        return value
    }

    /// The kind of the value in words, for messages: `a list`.
    public var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a truth value"
        case .number: "a number"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }

    /// The members, if the value is an object.
    public var members: [Member]? {
        guard case .object(let members) = self else { return nil }
        return members
    }
}

/// The recursive part of parsing, bounded by ``JSONValue/depthLimit``.
private struct JSONValueParser {
    var scanner: JSONScanner
    let file: FilePath

    mutating func wholeText() throws(JSONError) -> JSONValue {
        let value = try value(depth: 0)
        guard scanner.peek() == nil else { throw failure(scanner.unexpected("the end of the text")) }
        return value
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        guard depth < JSONValue.depthLimit else {
            throw failure(scanner.unexpected("at most \(JSONValue.depthLimit) objects and lists inside each other"))
        }
        do throws(JSONSyntaxError) {
            switch scanner.peek() {
            case UInt8(ascii: "\""): return .string(try scanner.string())
            case let byte? where Self.startsNumber(byte): return .number(try scanner.number())
            default: break
            }
        } catch { throw failure(error) }
        if scanner.take(UInt8(ascii: "{")) { return try object(depth: depth) }
        if scanner.take(UInt8(ascii: "[")) { return try array(depth: depth) }
        if scanner.take(word: "true") { return .bool(true) }
        if scanner.take(word: "false") { return .bool(false) }
        if scanner.take(word: "null") { return .null }
        throw failure(scanner.unexpected("a value"))
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        var members: [JSONValue.Member] = []
        var seen: Set<String> = []
        guard !scanner.take(UInt8(ascii: "}")) else { return .object([]) }
        repeat {
            let key = try key()
            guard seen.insert(key).inserted else { throw .duplicateKey(file: file, object: "an object", key: key) }
            members.append(.init(key, try value(depth: depth + 1)))
        } while try separator(UInt8(ascii: "}"))
        return .object(members)
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        var elements: [JSONValue] = []
        guard !scanner.take(UInt8(ascii: "]")) else { return .array([]) }
        repeat { elements.append(try value(depth: depth + 1)) } while try separator(UInt8(ascii: "]"))
        return .array(elements)
    }

    private mutating func key() throws(JSONError) -> String {
        do throws(JSONSyntaxError) {
            let key = try scanner.string()
            try scanner.expect(UInt8(ascii: ":"))
            return key
        } catch { throw failure(error) }
    }

    private mutating func separator(_ closing: UInt8) throws(JSONError) -> Bool {
        do throws(JSONSyntaxError) { return try scanner.separator(orEnd: closing) } catch { throw failure(error) }
    }

    private static func startsNumber(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }

    private func failure(_ error: JSONSyntaxError) -> JSONError {
        JSONError(error, in: file)
    }
}
