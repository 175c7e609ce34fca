import Foundation

/// Notices when standard input is closed.
enum InputWatcher {
    /// Calls back once standard input is closed: the parent, or the terminal, is gone.
    ///
    /// The thread ends with the process.
    static func watch(_ onEnd: @escaping @Sendable () async -> Void) {
        Thread.detachNewThread {
            var block = [UInt8](repeating: 0, count: 1 << 10)
            while true {
                let count = read(STDIN_FILENO, &block, block.count)
                // An input that cannot be read has no parent either.
                if count == 0 || count < 0 && errno != EINTR && errno != EAGAIN { break }
                if count < 0 { usleep(100_000) }
            }
            Task { await onEnd() }
        }
    }
}
