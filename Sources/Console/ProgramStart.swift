import CProgramStart
import Glibc

/// What every program of ours does first.
public enum ProgramStart {
    /// Whether the limits of the process were looked at before the libraries began: a program does so that links this
    /// module.
    public static var hasLookedAtLimits: Bool { kfacd_looked_at_limits() != 0 }

    /// Lets the call that writes tell what goes wrong with an output, instead of a signal that ends the program.
    ///
    /// A reader that went away ends nothing (SIGPIPE). A file that may grow no more is an error with words (SIGXFSZ).
    /// A standard descriptor that the caller closed leads to `/dev/null`, not to the next file that is opened.
    public static func prepare() {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number: this one, since those below it are open.
            _ = open("/dev/null", O_RDWR)
        }
    }
}
