import Dispatch
import Foundation
import Identifiers
import WireProtocol

/// SIGINT and SIGTERM as the end of a command with exit code 130.
enum Interruption {
    /// Runs a body; on a signal it is cancelled, `onInterruption` cleans up, and the command ends.
    static func watched<Result: Sendable>(
        _ body: @escaping @Sendable () async throws -> Result,
        onInterruption: @escaping @Sendable () async throws -> Void
    ) async throws -> Result {
        let (signals, sink) = AsyncStream.makeStream(of: Void.self)
        let sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler { sink.yield() }
            source.resume()
            return source
        }
        defer { sources.forEach { $0.cancel() } }
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                for await _ in signals { return nil }
                return nil
            }
            defer { group.cancelAll() }
            if let first = try await group.next(), let result = first { return result }
            // A second signal ends the program at once.
            for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
            do {
                try await onInterruption()
            } catch {
                throw CommandFailure(.interrupted, "interrupted; the coordinator did not answer the cancellation.")
            }
            throw CommandFailure(.interrupted, "interrupted; the job was cancelled and its files removed.")
        }
    }
}

extension CoordinatorClient {
    /// The jobs that run.
    func runningJobs() async throws -> [JobID] {
        guard case .jobs(let jobs) = try await ask(.jobs).reply else { return [] }
        return jobs.filter { $0.state == .running }.map(\.job)
    }
}
