/// An event that a test waited for did not happen.
struct WaitError: Error, CustomStringConvertible {
    let description: String
}

/// A job went on, or ended, before a test could act at the moment that it needs.
struct MissedMoment: Error, CustomStringConvertible {
    let description: String
}

extension Duration {
    /// The longest wait for what a quiet machine does within seconds.
    ///
    /// A busy machine takes many times as long, and a virtual one may stand still for seconds. Only a test that fails
    /// waits to the end.
    static let patience = Duration.seconds(240)
}

/// Checks a condition every few milliseconds until it holds.
///
/// - Parameters:
///   - what: The awaited event, for the message.
///   - limit: The longest wait.
///   - state: What there is in place of the event, for the message: the last answer, or the end of a log.
///   - condition: The condition. Only this task evaluates it.
/// - Throws: ``WaitError`` when the condition does not hold in time, or what the condition throws.
func eventually(
    _ what: String, within limit: Duration = .patience, finding state: @autoclosure () -> String = "",
    _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < end else {
            let found = state()
            throw WaitError(
                description: "waited \(limit) in vain for \(what)" + (found.isEmpty ? "" : "; found: \(found)"))
        }
        try await Task.sleep(for: .milliseconds(5))
    }
}
