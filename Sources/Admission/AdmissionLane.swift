public import JobPlan
import Lanes

/// A thread for the check of one job file at a time.
///
/// A check reads files, and a file system may hold its thread for long. So neither a limit of time nor a client that
/// goes away waits for the thread.
public actor AdmissionLane {
    private let lane: Lane

    /// Opens a lane.
    ///
    /// - Parameter name: Shown by debuggers.
    public init(_ name: String) {
        lane = Lane(name)
    }

    /// The lane's thread.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    /// Does some work on the lane, to its end.
    ///
    /// - Throws: `JobRefusal` of the work.
    public func perform<Value: Sendable>(
        _ work: @Sendable () throws(JobRefusal) -> Value
    ) throws(JobRefusal) -> Value {
        try work()
    }

    /// Runs a check until it ends, takes too long, or the task that waits is cancelled.
    ///
    /// - Parameters:
    ///   - limit: The time for the check, or `nil` for any time.
    ///   - onEnd: Called when the lane is free again. That may be long after this function has returned.
    ///   - check: The check. It should end soon after its task is cancelled.
    /// - Returns: The result of the check.
    /// - Throws: `JobRefusal` of the check, or an interruption if the check was given up.
    public nonisolated func run<Value: Sendable>(
        within limit: Duration?, onEnd: @escaping @Sendable () async -> Void = {},
        check: @escaping @Sendable () throws(JobRefusal) -> Value
    ) async throws(JobRefusal) -> Value {
        let outcome = FirstOutcome<Result<Value, JobRefusal>>()
        // Task because nobody waits for a check that hangs: a file system may hold its thread.
        let work = Task {
            do throws(JobRefusal) {
                outcome.set(.success(try await self.perform(check)))
            } catch {
                outcome.set(.failure(error))
            }
            await onEnd()
        }
        // Task because it ends with the check.
        let watch = Task {
            guard let limit, (try? await Task.sleep(for: limit)) != nil else { return }
            outcome.set(.failure(JobRefusal(interruption: "the check was given up after \(limit)")))
            work.cancel()
        }
        let result = await withTaskCancellationHandler {
            await outcome.value
        } onCancel: {
            outcome.set(.failure(JobRefusal(interruption: "nobody waits for the check any more")))
            work.cancel()
        }
        watch.cancel()
        return try result.get()
    }
}
