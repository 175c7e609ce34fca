internal import Synchronization

/// Whether a daemon can do its work now, or the reason why it cannot.
public final class Readiness: Sendable {
    private struct State {
        var reason: String? = "starting"
        var hasBeenReady = false
        var observers: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())

    /// Starts as not ready.
    public init() {}

    /// Why the daemon cannot do its work, or `nil` when it can.
    public var reason: String? { state.withLock { $0.reason } }

    /// Whether the daemon has been ready at any time.
    public var hasBeenSet: Bool { state.withLock { $0.hasBeenReady } }

    /// Marks the daemon as ready; the first time, the observers are called.
    public func set() {
        let observers = state.withLock { state in
            state.reason = nil
            state.hasBeenReady = true
            defer { state.observers = [] }
            return state.observers
        }
        for observer in observers { observer() }
    }

    /// Marks the daemon as not ready.
    ///
    /// - Parameter reason: The reason, in a few words.
    public func clear(_ reason: String) {
        state.withLock { $0.reason = reason }
    }

    /// Calls back when the daemon is ready for the first time; at once if it has been ready.
    public func whenFirstReady(_ observer: @escaping @Sendable () -> Void) {
        let isReady = state.withLock { state in
            if !state.hasBeenReady { state.observers.append(observer) }
            return state.hasBeenReady
        }
        if isReady { observer() }
    }
}
