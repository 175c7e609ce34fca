import FileAccess
import Glibc
import Identifiers
import Synchronization
import SystemPackage

/// Standard output for data, standard error for everything else.
///
/// A reader that does not read cannot stop the program from working or cleaning up. No control characters reach a
/// terminal, except line feeds and tabs.
public enum Terminal {
    private struct State {
        /// The line that is now on the terminal and will be redrawn; empty when the cursor is at a line's start.
        var drawn = ""
        /// Why standard output failed, as an error number.
        var outputFailure: Int32 = 0
    }

    private static let state = Mutex(State())
    /// Milliseconds that an error message waits for its reader; progress does not wait.
    private static let patience: Int32 = 1000

    /// Whether progress can be drawn over itself.
    public static var isInteractive: Bool {
        isatty(STDERR_FILENO) == 1 && getenv("TERM").map { String(cString: $0) } != "dumb"
    }

    /// The terminal's columns, read each time because the window may change.
    public static var columns: Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return getenv("COLUMNS").flatMap { Int(String(cString: $0)) }.flatMap { $0 > 0 ? $0 : nil } ?? 80
        }
        return Int(size.ws_col)
    }

    // MARK: - Data

    /// Writes text for people and programs.
    ///
    /// Text that cannot be written is dropped, and the exit code reports the failure.
    public static func print(_ text: String) {
        write(text.printableLines)
    }

    /// Writes JSON without changing its value: characters that control a terminal become JSON escapes.
    public static func print(json text: String) {
        write(text.printableJSON)
    }

    private static func write(_ text: String) {
        state.withLock { state in
            guard state.outputFailure == 0 else { return }
            state.outputFailure = Descriptor.write(Array((text + "\n").utf8), to: STDOUT_FILENO, patience: -1)
        }
    }

    /// The exit code of a program that succeeded, after all data is written.
    ///
    /// - Parameter isOutputAside: Whether printing is not the program's main work; then a reader that went away does
    ///   not matter.
    /// - Returns: 0; 1 after a message when standard output failed; 141 without a message when its reader went away, as
    ///   shells report SIGPIPE.
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

    /// Tells the user what is wrong, one line for each problem.
    public static func error(_ text: String) {
        for line in errorLines(text) { note(line) }
    }

    /// The lines of a message that says what is wrong, each with the heading `error:`.
    ///
    /// The messages of the argument parser have headings of their own: its `Error:` becomes ours, the others stay.
    ///
    /// - Parameter text: The message.
    /// - Returns: The lines that are not empty.
    public static func errorLines(_ text: String) -> [String] {
        text.split(separator: "\n").map { line in
            let line = line.sentence
            if line.hasPrefix("Error: ") { return "e\(line.dropFirst())" }
            let hasHeading = ["error: ", "Usage", "Help", " "].contains { line.hasPrefix($0) }
            return hasHeading ? "\(line)" : "error: \(line)"
        }
    }

    /// Redraws the last line when its text has changed.
    ///
    /// - Parameter line: Makes the line for a number of columns.
    public static func redraw(_ line: (_ columns: Int) -> String) {
        let text = line(columns).printable
        state.withLock { state in
            guard text != state.drawn else { return }
            state.drawn = text
            write("\r\u{1B}[K" + text, 0)
        }
    }

    /// Redraws the last line with as much of a text as fits.
    public static func redraw(_ text: String) {
        redraw { columns in DisplayWidth.cut(text, to: max(1, columns - 1)) }
    }

    /// Keeps the last drawn line and begins a new one.
    public static func keepLine() {
        state.withLock { state in
            guard !state.drawn.isEmpty else { return }
            state.drawn = ""
            write("\n", patience)
        }
    }

    /// An error here is ignored: nobody can be told.
    private static func write(_ text: String, _ patience: Int32) {
        _ = Descriptor.write(Array(text.utf8), to: STDERR_FILENO, patience: patience)
    }
}
