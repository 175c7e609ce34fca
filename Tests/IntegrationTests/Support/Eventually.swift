/// An event that a test waited for did not happen.
struct WaitError: Error, CustomStringConvertible {
    let description: String
}

/// Checks a condition every few milliseconds until it holds.
///
/// - Parameters:
///   - what: The awaited event, for the message.
///   - limit: The longest wait.
///   - condition: The condition. Only this task evaluates it.
/// - Throws: ``WaitError`` when the condition does not hold in time, or what the condition throws.
func eventually(_ what: String, within limit: Duration, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < end else { throw WaitError(description: "waited \(limit) in vain for \(what)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}
