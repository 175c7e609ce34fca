import Synchronization

/// What is done when the daemon is told to read its configuration again.
final class ReloadHandlers: Sendable {
    /// Reads something again; what it cannot read it logs, and keeps what it had.
    typealias Handler = @Sendable () async -> Void

    private let handlers = Mutex<[Handler]>([])

    /// Adds something that is read again, behind what was added before.
    func add(_ handler: @escaping Handler) {
        handlers.withLock { $0.append(handler) }
    }

    /// Reads everything again, one after the other.
    func run() async {
        for handler in handlers.withLock({ $0 }) { await handler() }
    }
}
