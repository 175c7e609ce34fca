internal import CZeroMQ
internal import Glibc

/// Why an operation of this module was refused or failed.
///
/// Secrets and message contents never appear in a description.
public enum ZeroMQError: Error, Equatable, Sendable {
    /// A C call failed; `call` names the function and its argument, `errorNumber` is its errno.
    case callFailed(call: String, errorNumber: Int32)

    /// A text is not an endpoint this module accepts.
    case invalidEndpoint(String, problem: String)

    /// An endpoint without a definite peer (`*` or port 0) was given to a connecting channel.
    case endpointNotConnectable(String)

    /// A text is not a CURVE key.
    case invalidCurveKey(CurveKeyProblem)

    /// Bytes cannot serve as a routing identity.
    case invalidRoutingIdentity(byteCount: Int)

    /// Memory for a payload could not be allocated.
    case allocationFailed(byteCount: Int)

    /// A message without frames was passed to `send`.
    case emptyMessage

    /// A message with more frames than the channel's limit was passed to `send`.
    case tooManyFrames(count: Int, limit: Int)

    /// A message with more bytes than the channel's limit was passed to `send`.
    case messageTooLarge(byteCount: Int, limit: Int)

    /// A router was given a message that names no peer.
    case missingRoutingIdentity

    /// A dealer was given a message that names a peer.
    case unexpectedRoutingIdentity

    /// The channel is closed, or closing.
    case closed

    /// The waiting task was cancelled; nothing was sent or taken.
    case cancelled
}

/// What keeps a text from being a CURVE key.
public enum CurveKeyProblem: Equatable, Sendable {
    /// The text has `found` bytes instead of 40.
    case wrongLength(found: Int)

    /// The byte at `position` (from 0) is not of the Z85 alphabet.
    case invalidCharacter(position: Int)

    /// The five characters from `position` encode a number above 2³² − 1.
    case groupOutOfRange(position: Int)
}

extension ZeroMQError: CustomStringConvertible {
    /// The sentence for people: where, what is wrong, what was expected.
    public var description: String {
        switch self {
        case .callFailed(let call, let errorNumber):
            "\(call): \(Self.text(ofErrorNumber: errorNumber))\(Self.remedy(errorNumber))"
        case .invalidEndpoint(let text, let problem):
            "endpoint \"\(text)\": \(problem); expected tcp://HOST:PORT, ipc://PATH or inproc://NAME."
        case .endpointNotConnectable(let text):
            "endpoint \"\(text)\": cannot be connected to; expected a definite host and a port from 1 to 65535."
        case .invalidCurveKey(let problem):
            "CURVE key: \(problem); expected 40 characters of Z85."
        case .invalidRoutingIdentity(let byteCount):
            "routing identity of \(byteCount) bytes: cannot be used; expected 1 to 255 bytes, the first not zero."
        case .allocationFailed(let byteCount):
            "payload buffer: \(byteCount) bytes could not be allocated; expected a size that memory can hold."
        case .emptyMessage:
            "message: has no frames; expected at least 1."
        case .tooManyFrames(let count, let limit):
            "message: has \(count) frames; expected at most \(limit)."
        case .messageTooLarge(let byteCount, let limit):
            "message: has \(byteCount) bytes; expected at most \(limit)."
        case .missingRoutingIdentity:
            "message: names no peer; expected the routing identity of the peer a router shall send it to."
        case .unexpectedRoutingIdentity:
            "message: names a peer; expected none, since a dealer has only one."
        case .closed:
            "message channel: is closed; expected an open one."
        case .cancelled:
            "message channel: the waiting task was cancelled; nothing was sent or taken."
        }
    }

    /// What helps when the process, or the system, has no descriptors left.
    private static func remedy(_ errorNumber: Int32) -> String {
        [EMFILE, ENFILE].contains(errorNumber) ? "; raise the limit of open files (ulimit -n, LimitNOFILE)" : ""
    }

    private static func text(ofErrorNumber errorNumber: Int32) -> String {
        guard let text = unsafe zmq_strerror(errorNumber) else { return "unknown error" }
        return unsafe String(cString: text)
    }
}

extension CurveKeyProblem: CustomStringConvertible {
    /// The problem as a clause; it does not quote the key.
    public var description: String {
        switch self {
        case .wrongLength(let found): "has \(found) characters"
        case .invalidCharacter(let position): "character \(position + 1) is not of the Z85 alphabet"
        case .groupOutOfRange(let position): "characters \(position + 1) to \(position + 5) encode no 32-bit number"
        }
    }
}
