import Identifiers
public import SystemPackage

/// Why a text is not JSON, or not unambiguous.
///
/// Each description is a sentence in this order: the file, what is wrong, what was expected.
public enum JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Text that is not JSON; `offset` counts bytes from the start of the text's file.
    case malformed(file: FilePath, offset: Int, found: String, expected: String)
    /// A JSON object names the same key twice; `object` says which object.
    case duplicateKey(file: FilePath, object: String, key: String)

    /// Places a syntax error in a file.
    public init(_ error: JSONSyntaxError, in file: FilePath) {
        self = .malformed(file: file, offset: error.offset, found: error.found, expected: error.expected)
    }

    /// The file that holds the text.
    public var file: FilePath {
        switch self {
        case .malformed(let file, _, _, _), .duplicateKey(let file, _, _): file
        }
    }

    /// The sentence for the user.
    public var description: String {
        switch self {
        case .malformed(let file, let offset, let found, let expected):
            "\(file): byte \(offset) is \(found); expected \(expected)."
        case .duplicateKey(let file, let object, let key):
            "\(file): \(object) names \"\(key.excerpt)\" twice; expected every key once."
        }
    }
}
