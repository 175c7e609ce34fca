/// The places where untrusted bytes enter the program, each as a function of bytes.
///
/// The Fuzz package passes libFuzzer's inputs to them, and `swift test` passes the corpus that libFuzzer found.
public enum FuzzEntry: String, CaseIterable, Sendable {
    /// The frames of a message, from the router to the message's value.
    case message
    /// The header of a safetensors file, and JSON beside such files.
    case header
    /// A job file, from its text to the plan.
    case job
    /// A row of the journal, from its text to the scheduler.
    case journal

    /// Passes bytes to the entry; they may be refused, or accepted if everything promised about them holds.
    ///
    /// - Throws: ``BrokenPromise``.
    public func take(_ bytes: [UInt8]) throws(BrokenPromise) {
        switch self {
        case .message: try takeMessage(bytes)
        case .header: try takeHeader(bytes)
        case .job: try takeJob(bytes)
        case .journal: try takeRow(bytes)
        }
    }
}

/// Bytes for which the program broke a promise.
public struct BrokenPromise: Error, Equatable, Sendable, CustomStringConvertible {
    /// The sentence for the developer.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// The value of a throwing expression, or `nil` for a refusal.
///
/// A refusal's sentence goes to a log and to a peer. So it is written out here, and must be bounded for all bytes.
func accepted<Value>(
    mostSentenceBytes: Int = 20_000, _ body: () throws -> Value
) throws(BrokenPromise) -> Value? {
    do {
        return try body()
    } catch {
        let sentence = "\(error)"
        guard !sentence.isEmpty, sentence.utf8.count <= mostSentenceBytes else {
            throw BrokenPromise("the refusal has \(sentence.utf8.count) bytes: \(sentence.prefix(200))…")
        }
        return nil
    }
}
