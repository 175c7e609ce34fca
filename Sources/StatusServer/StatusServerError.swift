/// Why the status pages cannot be served.
public enum StatusServerError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The text is not an address.
    case malformedAddress(String)
    /// Another process listens there.
    case addressTaken(String)
    /// The address cannot be used.
    case cannotListen(address: String, cause: String)

    /// The sentence for the person who must act.
    public var description: String {
        switch self {
        case .malformedAddress(let text):
            "\"\(text)\" is no address for status pages; expected ADDRESS:PORT with a numeric address, such as "
                + "127.0.0.1:7780 or [::1]:7780, or \"off\"."
        case .addressTaken(let address):
            "the status pages cannot be served at \(address): another process listens there. Choose another address "
                + "with --http, or \"--http off\"."
        case .cannotListen(let address, let cause):
            "the status pages cannot be served at \(address): \(cause)."
        }
    }
}
