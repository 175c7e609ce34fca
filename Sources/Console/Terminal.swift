import FileAccess
import Glibc
import Identifiers
import Synchronization
import SystemPackage

/// Standard output for data, standard error for everything else.
///
/// Nobody who does not read either keeps a program from going on, nor from tidying up. Whatever texts hold, no control
/// character reaches a terminal but line feeds and tabs.
public enum Terminal {
    private struct State {
        /// The line that is drawn over, as it stands on the terminal; empty when the cursor is at a line's begin.
        var drawn = ""
        /// Why standard output takes no more, as an error number.
        var outputFailure: Int32 = 0
    }

    private static let state = Mutex(State())
    /// Milliseconds for which words about what went wrong wait for their reader; progress does not wait.
    private static let patience: Int32 = 1000

    /// Whether progress can be drawn over itself.
    public static var isInteractive: Bool {
        isatty(STDERR_FILENO) == 1 && getenv("TERM").map { String(cString: $0) } != "dumb"
    }

    /// The columns of the terminal, asked anew each time: its window may change.
    public static var columns: Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return getenv("COLUMNS").flatMap { Int(String(cString: $0)) }.flatMap { $0 > 0 ? $0 : nil } ?? 80
        }
        return Int(size.ws_col)
    }

    // MARK: - Data

    /// Writes text for people and programs; what cannot be written any more is dropped, and the end of the program
    /// tells why.
    public static func print(_ text: String) {
        write(text.printableLines)
    }

    /// Writes JSON, which stays what it is: characters that control a terminal are written as JSON escapes them.
    public static func print(json text: String) {
        write(text.printableJSON)
    }

    private static func write(_ text: String) {
        state.withLock { state in
            guard state.outputFailure == 0 else { return }
            state.outputFailure = Descriptor.write(Array((text + "\n").utf8), to: STDOUT_FILENO, patience: -1)
        }
    }

    /// The exit code of a program that did what it was to do, once all data is written.
    ///
    /// - Parameter isOutputAside: Whether the program was to do more than print: then a reader who went away does not
    ///   matter.
    /// - Returns: 0; 1 after a message when standard output failed; 141 without a message when nobody read it, as
    ///   shells show an end by SIGPIPE.
    public static func exitCode(isOutputAside: Bool = false) -> Int32 {
        let failure = state.withLock { $0.outputFailure }
        switch failure {
        case 0: return 0
        case EPIPE: return isOutputAside ? 0 : 128 + SIGPIPE
        default:
            error("standard output cannot be written: \(SystemWords.text(of: Errno(rawValue: failure))).")
            return CommandExit.failed.rawValue
        }
    }

    // MARK: - Words

    /// Tells the user something.
    public static func note(_ text: String) {
        state.withLock { state in
            let erased = state.drawn.isEmpty ? "" : "\r\u{1B}[K"
            state.drawn = ""
            write(erased + text.printableLines + "\n", patience)
        }
    }

    /// Tells the user what is wrong, a line a problem.
    public static func error(_ text: String) {
        for line in text.split(separator: "\n") {
            // The parser's own messages bring their headings with them.
            let hasHeading = ["error: ", "Error: ", "Usage", "Help", " "].contains { line.hasPrefix($0) }
            note(hasHeading ? "\(line)" : "error: \(line)")
        }
    }

    /// Draws over the last line, when it says something else now.
    ///
    /// - Parameter line: The line for so many columns.
    public static func redraw(_ line: (_ columns: Int) -> String) {
        let text = line(columns).printable
        state.withLock { state in
            guard text != state.drawn else { return }
            state.drawn = text
            write("\r\u{1B}[K" + text, 0)
        }
    }

    /// Draws a text over the last line, as much of it as fits.
    public static func redraw(_ text: String) {
        redraw { columns in DisplayWidth.cut(text, to: max(1, columns - 1)) }
    }

    /// Leaves the line that was drawn last as it is, and begins a new one.
    public static func keepLine() {
        state.withLock { state in
            guard !state.drawn.isEmpty else { return }
            state.drawn = ""
            write("\n", patience)
        }
    }

    /// Nobody is left to tell when even this fails.
    private static func write(_ text: String, _ patience: Int32) {
        _ = Descriptor.write(Array(text.utf8), to: STDERR_FILENO, patience: patience)
    }
}
