import CProgramStart
import Glibc

/// The first step of each of our programs.
public enum ProgramStart {
    /// Whether the limits of the process were checked before its libraries were initialised.
    public static var hasLookedAtLimits: Bool { kfacd_looked_at_limits() != 0 }

    /// Makes a failed write return an error instead of ending the program by a signal.
    ///
    /// A closed reader (SIGPIPE) and a file at its size limit (SIGXFSZ) become errors with words. A standard descriptor
    /// that the caller closed is opened as `/dev/null`, so that the next opened file does not take its number.
    public static func prepare() {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // This opens the lowest free number, which is this one, since all lower ones are open.
            _ = open("/dev/null", O_RDWR)
        }
    }
}
