import Foundation

/// Standard output for data, standard error for everything else.
enum Terminal {
    /// Whether progress can be drawn over itself.
    static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 }

    /// Writes data.
    static func print(_ text: String) {
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }

    /// Tells the user something.
    static func note(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }

    /// Tells the user what is wrong, a line a problem.
    static func error(_ text: String) {
        for line in text.split(separator: "\n") {
            // The parser's own messages bring their headings with them.
            let hasHeading = ["error: ", "Error: ", "Usage", "Help", " "].contains { line.hasPrefix($0) }
            note(hasHeading ? "\(line)" : "error: \(line)")
        }
    }

    /// Draws over the last line.
    static func redraw(_ text: String) {
        FileHandle.standardError.write(Data(("\r\u{1B}[K" + text).utf8))
    }
}
