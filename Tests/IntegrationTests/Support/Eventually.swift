/// Something that a test waited for did not happen.
struct WaitError: Error, CustomStringConvertible {
    let description: String
}

/// Looks every few milliseconds until a condition holds.
///
/// - Parameters:
///   - what: What is waited for, for the message.
///   - limit: The longest wait.
///   - condition: Looked at in this task only.
/// - Throws: ``WaitError`` when the condition does not hold in time, and what it throws itself.
func eventually(_ what: String, within limit: Duration, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < end else { throw WaitError(description: "waited \(limit) in vain for \(what)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}
