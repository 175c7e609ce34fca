import Console
import Messaging
import WireProtocol

/// Why a command fails: the message for the user, and the exit code of DESIGN section 1.
struct CommandFailure: Error {
    let code: CommandExit
    let message: String

    init(_ code: CommandExit, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Makes a failed request into the command's failure.
    init(_ failure: RequestFailure) {
        switch failure.kind {
        case .badInput, .unknownJob, .notPermitted: self.init(.badInput, failure.description)
        case .busy, .world: self.init(.failed, failure.description)
        }
    }

    /// Makes a failed connection into the command's failure.
    init(_ error: MessagingError) {
        switch error {
        // A coordinator that refuses to talk was reached, so the installation is wrong.
        case .refused, .keyRefused, .handshakeFailed, .unprotectedConnection:
            self.init(.badInput, error.description)
        // The received bytes, or the bytes to be sent, are not a message.
        case .transferFailed: self.init(.failed, error.description)
        default:
            self.init(.unreachable, error.description)
        }
    }
}
