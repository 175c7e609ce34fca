import Identifiers

/// Why bytes are no operation.
public enum OperationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No operation has this kind.
    case unknownKind(String)
    /// The bytes, or a value in them, are not what the schema allows.
    case malformed(String)

    /// The clause for the message that carried the operation.
    public var description: String {
        switch self {
        case .unknownKind(let kind): "the operation \"\(kind.excerpt)\" is not known"
        case .malformed(let what): what
        }
    }
}
