import Synchronization

/// The actions when the daemon is told to read its configuration again.
final class ReloadHandlers: Sendable {
    /// Reads a part of the configuration again; on an error it logs and keeps the old values.
    typealias Handler = @Sendable () async -> Void

    private let handlers = Mutex<[Handler]>([])

    /// Adds a handler; it runs after those that were added before.
    func add(_ handler: @escaping Handler) {
        handlers.withLock { $0.append(handler) }
    }

    /// Runs all handlers, one after the other.
    func run() async {
        for handler in handlers.withLock({ $0 }) { await handler() }
    }
}
