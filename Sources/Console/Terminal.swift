import Foundation
import Identifiers

/// Standard output for data, standard error for everything else.
///
/// Whatever texts hold, no control character reaches a terminal but line feeds and tabs.
public enum Terminal {
    /// Whether progress can be drawn over itself.
    public static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 }

    /// Writes text for people and programs.
    ///
    /// A reader that is gone, or a full disk, ends the program with a message instead of a trap.
    public static func print(_ text: String) {
        write(text.printableLines)
    }

    /// Writes JSON, which stays what it is: characters that control a terminal are written as JSON escapes them.
    public static func print(json text: String) {
        write(text.printableJSON)
    }

    private static func write(_ text: String) {
        do {
            try FileHandle.standardOutput.write(contentsOf: Data((text + "\n").utf8))
        } catch {
            note("error: standard output cannot be written: \(error.localizedDescription)")
            exit(CommandExit.failed.rawValue)
        }
    }

    /// Tells the user something.
    public static func note(_ text: String) {
        // Nobody is left to tell when even this fails.
        try? FileHandle.standardError.write(contentsOf: Data((text.printableLines + "\n").utf8))
    }

    /// Tells the user what is wrong, a line a problem.
    public static func error(_ text: String) {
        for line in text.split(separator: "\n") {
            // The parser's own messages bring their headings with them.
            let hasHeading = ["error: ", "Error: ", "Usage", "Help", " "].contains { line.hasPrefix($0) }
            note(hasHeading ? "\(line)" : "error: \(line)")
        }
    }

    /// Draws over the last line.
    public static func redraw(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data(("\r\u{1B}[K" + text.printable).utf8))
    }
}
