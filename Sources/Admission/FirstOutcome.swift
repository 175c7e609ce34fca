import Synchronization

/// The first of several outcomes; it wakes the task that waits.
final class FirstOutcome<Value: Sendable>: Sendable {
    private enum State {
        case open(CheckedContinuation<Value, Never>?)
        case set(Value)
    }

    private let state = Mutex(State.open(nil))

    /// Sets the outcome, unless there is one.
    func set(_ value: Value) {
        let waiting = state.withLock { state -> CheckedContinuation<Value, Never>? in
            guard case .open(let waiting) = state else { return nil }
            state = .set(value)
            return waiting
        }
        waiting?.resume(returning: value)
    }

    /// Waits for the outcome; only one task may wait.
    var value: Value {
        get async {
            await withCheckedContinuation { continuation in
                let known = state.withLock { state -> Value? in
                    if case .set(let value) = state { return value }
                    state = .open(continuation)
                    return nil
                }
                if let known { continuation.resume(returning: known) }
            }
        }
    }
}
