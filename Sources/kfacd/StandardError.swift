import Foundation

/// Standard error, as a stream that `print` writes to.
struct StandardError: TextOutputStream {
    nonisolated(unsafe) static var stream = StandardError()  // It holds nothing; the descriptor is the process's.

    mutating func write(_ text: String) {
        FileHandle.standardError.write(Data(text.utf8))
    }
}
