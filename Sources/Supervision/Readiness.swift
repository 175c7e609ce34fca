internal import Synchronization

/// Whether a daemon can do its work now, and if not, why.
public final class Readiness: Sendable {
    private struct State {
        var reason: String? = "starting"
        var hasBeenReady = false
        var observers: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())

    /// Not ready: starting.
    public init() {}

    /// Why the daemon cannot do its work, or `nil` when it can.
    public var reason: String? { state.withLock { $0.reason } }

    /// Whether the daemon has been ready at any time.
    public var hasBeenSet: Bool { state.withLock { $0.hasBeenReady } }

    /// Can do its work from now on; the first time, those who wait for that are told.
    public func set() {
        let observers = state.withLock { state in
            state.reason = nil
            state.hasBeenReady = true
            defer { state.observers = [] }
            return state.observers
        }
        for observer in observers { observer() }
    }

    /// Cannot do its work from now on.
    ///
    /// - Parameter reason: Why, in a few words.
    public func clear(_ reason: String) {
        state.withLock { $0.reason = reason }
    }

    /// Calls back the first time that the daemon is ready; at once if it has been.
    public func whenFirstReady(_ observer: @escaping @Sendable () -> Void) {
        let isReady = state.withLock { state in
            if !state.hasBeenReady { state.observers.append(observer) }
            return state.hasBeenReady
        }
        if isReady { observer() }
    }
}
