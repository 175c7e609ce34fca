import Console
import Synchronization

/// Why a push must wait, and the failure if it waits for too long.
struct PushDelay: Error {
    let reason: String
    let failure: CommandFailure
}

/// Repeats a push while the coordinator is away or has no place.
struct PushPatience: Sendable {
    /// What is pushed, for messages.
    let name: String

    /// How long a busy or absent coordinator is waited for since the last sign of progress, and how often it is asked.
    private static let (patience, interval) = (Duration.seconds(600), Duration.seconds(1))
    /// How many attempts may end after bytes had arrived; one that always ends in the middle has a cause that stays.
    private static let attemptsMax = 20

    /// Notices when bytes arrive.
    final class Progress: Sendable {
        private let state = Mutex<(arrived: UInt64?, last: ContinuousClock.Instant?)>((nil, nil))

        /// Notes how many bytes of an attempt have arrived; the first number may be those of an earlier one.
        func note(_ arrived: UInt64) {
            state.withLock { state in
                if let before = state.arrived, arrived > before { state.last = .now }
                state.arrived = arrived
            }
        }

        /// When bytes arrived since the last call, if any did.
        fileprivate func take() -> ContinuousClock.Instant? {
            state.withLock { state in
                defer { state = (nil, nil) }
                return state.last
            }
        }
    }

    /// Performs attempts until one succeeds.
    ///
    /// - Throws: The failure of the last attempt, or what an attempt throws besides ``PushDelay``.
    func repeating<Result>(_ attempt: (Progress) async throws -> Result) async throws -> Result {
        let progress = Progress()
        var start = ContinuousClock.now
        var (isWaiting, brokenAttempts) = (false, 0)
        while true {
            do {
                return try await attempt(progress)
            } catch let wait as PushDelay {
                if let arrival = progress.take() {
                    (start, isWaiting) = (arrival, false)
                    brokenAttempts += 1
                }
                guard ContinuousClock.now - start < Self.patience, brokenAttempts < Self.attemptsMax else {
                    throw wait.failure
                }
                if !isWaiting { Terminal.note("\(name): waiting: \(wait.reason)") }
                isWaiting = true
                try await Task.sleep(for: Self.interval)
            }
        }
    }
}
