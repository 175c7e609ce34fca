import Foundation

/// Notices when standard input is closed.
enum InputWatcher {
    /// Calls back once nothing can be read any more: the parent is gone.
    ///
    /// The thread ends with the process.
    static func watch(_ onEnd: @escaping @Sendable () async -> Void) {
        Thread.detachNewThread {
            while !FileHandle.standardInput.availableData.isEmpty { continue }
            Task { await onEnd() }
        }
    }
}
