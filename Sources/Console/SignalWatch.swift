import Dispatch
import Foundation

/// SIGINT and SIGTERM as cancellation.
public enum SignalWatch {
    /// Runs a body to its end or to a signal.
    ///
    /// After a signal the body's task is cancelled; a second signal ends the program at once.
    ///
    /// - Parameters:
    ///   - body: Should end soon once its task is cancelled.
    ///   - onInterruption: Runs after a signal and before the body is cancelled.
    /// - Returns: What the body returned, or nil after a signal.
    /// - Throws: What the body or `onInterruption` throws.
    public static func interruptible<Result: Sendable>(
        _ body: @escaping @Sendable () async throws -> Result,
        onInterruption: @escaping @Sendable () async throws -> Void = {}
    ) async throws -> Result? {
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
            for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
            try await onInterruption()
            return nil
        }
    }
}
