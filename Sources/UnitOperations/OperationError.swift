import Identifiers

/// The reason why bytes are not an operation.
public enum OperationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// No operation has this kind.
    case unknownKind(String)
    /// The schema does not allow the bytes or a value in them.
    case malformed(String)

    /// A clause for the error of the message that carried the operation.
    public var description: String {
        switch self {
        case .unknownKind(let kind): "the operation \"\(kind.excerpt)\" is not known"
        case .malformed(let what): what
        }
    }
}
