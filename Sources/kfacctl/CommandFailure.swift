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
        case .badInput, .unknownJob: self.init(.badInput, failure.description)
        case .world: self.init(.failed, failure.description)
        }
    }

    /// What a connection that does not work means for the command.
    init(_ error: MessagingError) {
        // A coordinator that refuses to talk was reached: it is the installation that is wrong.
        if case .refused = error {
            self.init(.badInput, error.description)
        } else {
            self.init(.unreachable, error.description)
        }
    }
}
