import Console
import Messaging
import WireProtocol

/// Why a command ends without success: the message for the user, and the exit code of DESIGN section 1.
struct CommandFailure: Error {
    let code: CommandExit
    let message: String

    init(_ code: CommandExit, _ message: String) {
        self.code = code
        self.message = message
    }

    /// What a failed request means for the command.
    init(_ failure: RequestFailure) {
        switch failure.kind {
        case .badInput, .unknownJob, .notPermitted: self.init(.badInput, failure.description)
        case .world: self.init(.failed, failure.description)
        }
    }

    /// What a connection that does not work means for the command.
    init(_ error: MessagingError) {
        switch error {
        // A coordinator that refuses to talk was reached: it is the installation that is wrong.
        case .refused, .keyRefused, .handshakeFailed, .unprotectedConnection:
            self.init(.badInput, error.description)
        // What came, or was to be sent, is no message.
        case .transferFailed: self.init(.failed, error.description)
        default:
            self.init(.unreachable, error.description)
        }
    }
}
