import Console
import Identifiers
import WireProtocol

/// SIGINT and SIGTERM as the end of a command with exit code 130.
enum Interruption {
    /// Runs a body; on a signal it is cancelled, `onInterruption` cleans up, and the command ends.
    static func watched<Result: Sendable>(
        _ body: @escaping @Sendable () async throws -> Result,
        onInterruption: @escaping @Sendable () async throws -> Void
    ) async throws -> Result {
        let result = try await SignalWatch.interruptible(body) {
            do {
                try await onInterruption()
            } catch {
                throw CommandFailure(.interrupted, "interrupted; the coordinator did not answer the cancellation.")
            }
        }
        guard let result else {
            throw CommandFailure(.interrupted, "interrupted; the job was cancelled and its files removed.")
        }
        return result
    }
}

extension CoordinatorClient {
    /// The jobs that run.
    func runningJobs() async throws -> [JobID] {
        guard case .jobs(let jobs) = try await ask(.jobs).reply else { return [] }
        return jobs.filter { $0.state == .running }.map(\.job)
    }
}
