import Console
import Identifiers
import WireProtocol

/// Signals as the end of a command with exit code 130.
enum Interruption {
    /// Runs a body; on a signal it is cancelled, `onInterruption` cleans up, and the command ends.
    ///
    /// - Parameters:
    ///   - outcome: What the command says then.
    ///   - body: Should end soon once its task is cancelled.
    ///   - onInterruption: Cleans up before the body is cancelled.
    /// - Returns: What the body returned.
    /// - Throws: ``CommandFailure`` with the outcome, and what the body throws.
    static func watched<Result: Sendable>(
        outcome: String = "interrupted.", _ body: @escaping @Sendable () async throws -> Result,
        onInterruption: @escaping @Sendable () async throws -> Void = {}
    ) async throws -> Result {
        let result = try await SignalWatch.interruptible(body) {
            do {
                try await onInterruption()
            } catch {
                throw CommandFailure(.interrupted, "interrupted; the coordinator did not answer the cancellation.")
            }
        }
        guard let result else {
            throw CommandFailure(.interrupted, outcome)
        }
        return result
    }
}

extension CoordinatorClient {
    /// The jobs that have not ended.
    private func jobsUnderWay() async throws -> [JobID] {
        guard case .jobs(let jobs) = try await ask(.jobs).reply else { return [] }
        return jobs.filter(\.state.isUnderWay).map(\.job)
    }

    /// Cancels all jobs and waits until they have ended, but not for long: what a full disk keeps the coordinator from
    /// recording does not come to its end.
    func cancelAll() async throws {
        for job in try await jobsUnderWay() { _ = try await ask(.cancel(job)) }
        let deadline = ContinuousClock.now + .seconds(2)
        while try await !jobsUnderWay().isEmpty, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
