import Identifiers
import Synchronization
import WireProtocol

/// A unit that a lane has taken; its computation can be ended early.
final class BegunUnit: Sendable {
    /// The lease of the unit.
    let lease: UnitLease
    private let state = Mutex<State>(State())

    private struct State {
        var isRevoked = false
        var task: Task<Void, Never>?
    }

    /// The unit's attempt.
    var leased: LeasedUnit { lease.leased }

    init(lease: UnitLease) {
        self.lease = lease
    }

    /// Computes where the caller runs until the body ends; ``revoke()`` cancels the body.
    func run(
        isolation: isolated (any Actor)? = #isolation, _ body: @escaping @Sendable () async -> Void
    ) async {
        // Task because a child task cannot be cancelled alone from outside. The captured isolation keeps it on the
        // caller's thread.
        let task = Task {
            _ = isolation
            await body()
        }
        let isRevoked = state.withLock { state in
            state.task = task
            return state.isRevoked
        }
        if isRevoked { task.cancel() }
        await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            task.cancel()
        }
        state.withLock { $0.task = nil }
    }

    /// Ends the computation at its next step.
    func revoke() {
        let task = state.withLock { state in
            state.isRevoked = true
            return state.task
        }
        task?.cancel()
    }
}
