import Identifiers

/// Why two processes cannot talk, or could not finish a conversation.
public enum MessagingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The endpoint cannot be opened.
    case cannotOpen(endpoint: String, cause: String)
    /// Listening there would let anybody connect.
    case unprotectedEndpoint(endpoint: String)
    /// Connecting there would let anybody eavesdrop or answer in the coordinator's place.
    case unprotectedConnection(endpoint: String)
    /// The coordinator does not know the key that this side proved.
    case keyRefused(endpoint: String)
    /// The peer ended the connection before any message.
    case handshakeFailed(endpoint: String)
    /// Nobody answered at the address.
    case unreachable(endpoint: String, waited: Duration)
    /// The coordinator answers, but has not said whether it accepts a job.
    case admissionTooLong(endpoint: String, waited: Duration)
    /// The peer refuses to talk.
    case refused(endpoint: String, message: String)
    /// The connection was closed by this side.
    case closed(endpoint: String)
    /// The peer cannot send or receive the bytes of a transfer.
    case transferFailed(what: String, message: String)

    /// The sentence for the person who must act.
    public var description: String {
        switch self {
        case .cannotOpen(let endpoint, let cause):
            "\(endpoint): the endpoint cannot be opened: \(cause)."
        case .unprotectedEndpoint(let endpoint):
            "\(endpoint): other machines reach this address; without keys only loopback (tcp://127.0.0.1:…) and "
                + "ipc:// are allowed. Make keys with \"kfacctl keygen\" and give --secret-key and --authorized-keys, "
                + "or listen on one of those."
        case .unprotectedConnection(let endpoint):
            "\(endpoint): is on another machine; without keys only loopback (tcp://127.0.0.1:…) and ipc:// are "
                + "allowed. Make a key with \"kfacctl keygen\", have it authorized, and give --secret-key and the "
                + "coordinator's public file as --server-key."
        case .keyRefused(let endpoint):
            "the coordinator at \(endpoint) does not know this key. Put its public file, with a role, into the "
                + "coordinator's directory of authorized keys, and reload the coordinator."
        case .handshakeFailed(let endpoint):
            "the coordinator at \(endpoint) ends every connection before the first message. Either the keys do "
                + "not match: check that --server-key is its public key, and that keys are given on both sides or on "
                + "neither. Or it has too many connections: then its log says how many ended unheard."
        case .unreachable(let endpoint, let waited):
            "no coordinator answered at \(endpoint) within \(waited). Check the address, and that "
                + "\"kfacd coordinator\" runs there."
        case .admissionTooLong(let endpoint, let waited):
            "the coordinator at \(endpoint) has not checked the job within \(waited). It reads the headers of all files, and "
                + "the whole base where captures name its digest: give --timeout more seconds, or look at its status page."
        case .refused(let endpoint, let message):
            "the coordinator at \(endpoint) refuses to talk: \(message.sentence)"
        case .closed(let endpoint):
            "the connection to \(endpoint) is closed."
        case .transferFailed(let what, let message):
            "\(what): the transfer failed: \(message.sentence)"
        }
    }
}
