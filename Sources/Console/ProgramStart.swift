import Glibc

/// What every program of ours does first.
public enum ProgramStart {
    /// Makes sure that what goes wrong with an output is told by the call that writes, and not by a signal that ends
    /// the program.
    ///
    /// Nobody who reads ends nothing (SIGPIPE), a file that may grow no more is an error with words (SIGXFSZ), and what
    /// was closed by whoever started the program leads nowhere, instead of to the next file that is opened.
    public static func prepare() {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number: this one, since those below it are open.
            _ = open("/dev/null", O_RDWR)
        }
    }
}
