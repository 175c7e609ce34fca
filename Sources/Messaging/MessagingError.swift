/// Why two processes cannot talk, or could not finish what they were saying.
public enum MessagingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The endpoint cannot be opened.
    case cannotOpen(endpoint: String, cause: String)
    /// Listening there would let anybody in.
    case unprotectedEndpoint(endpoint: String)
    /// Nobody answered at the address.
    case unreachable(endpoint: String, waited: Duration)
    /// The peer refuses to talk.
    case refused(endpoint: String, message: String)
    /// The connection was closed by this side.
    case closed(endpoint: String)
    /// The peer cannot send or take the bytes of a transfer.
    case transferFailed(what: String, message: String)

    /// The sentence for the person who must act.
    public var description: String {
        switch self {
        case .cannotOpen(let endpoint, let cause):
            "\(endpoint): the endpoint cannot be opened: \(cause)."
        case .unprotectedEndpoint(let endpoint):
            "\(endpoint): anybody who reaches this address could submit jobs and read files; without keys only "
                + "loopback (tcp://127.0.0.1:…) and ipc:// endpoints are allowed. Use one of those, or a tunnel."
        case .unreachable(let endpoint, let waited):
            "no coordinator answered at \(endpoint) within \(waited). Check the address, and that "
                + "\"kfacd coordinator\" runs there."
        case .refused(let endpoint, let message):
            "the coordinator at \(endpoint) refuses to talk: \(message)"
        case .closed(let endpoint):
            "the connection to \(endpoint) is closed."
        case .transferFailed(let what, let message):
            "\(what): the transfer failed: \(message)"
        }
    }
}
