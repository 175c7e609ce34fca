import Console
import Identifiers
import WireProtocol

/// Makes a signal end a command with exit code 130.
enum Interruption {
    /// Runs a body; on a signal the body is cancelled, `onInterruption` cleans up, and the command ends.
    ///
    /// - Parameters:
    ///   - outcome: The message of the command in that case.
    ///   - body: The body. It should end soon once its task is cancelled.
    ///   - onInterruption: Cleans up before the body is cancelled.
    /// - Returns: The result of the body.
    /// - Throws: ``CommandFailure`` with the outcome, or what the body throws.
    static func watched<Result: Sendable>(
        outcome: String, _ body: @escaping @Sendable () async throws -> Result,
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

    /// Cancels all jobs and waits for their end, for a bounded time.
    ///
    /// A coordinator that cannot record the end on a full disk would not reach it. A job that did not end leaves its
    /// claim on the output, so a busy machine has some time.
    func cancelAll() async throws {
        for job in try await jobsUnderWay() { _ = try await ask(.cancel(job)) }
        let deadline = ContinuousClock.now + .seconds(10)
        while try await !jobsUnderWay().isEmpty, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
