import Console

/// Makes a signal end a command with exit code 130.
enum Interruption {
    /// Runs a body; on a signal the body is cancelled, cleans up, and the command ends.
    ///
    /// - Parameters:
    ///   - outcome: The message of the command in that case.
    ///   - body: The body. It should end soon once its task is cancelled.
    /// - Returns: The result of the body.
    /// - Throws: ``CommandFailure`` with the outcome, or what the body throws.
    static func watched<Result: Sendable>(
        outcome: String, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        guard let result = try await SignalWatch.interruptible(body) else {
            throw CommandFailure(.interrupted, outcome)
        }
        return result
    }
}
