/// The places where bytes of strangers enter the program, each as a function of bytes.
///
/// The Fuzz package feeds them with what libFuzzer invents, and `swift test` with the corpus that came of it.
public enum FuzzEntry: String, CaseIterable, Sendable {
    /// The frames of a message, from the router to the message's value.
    case message
    /// The header of a safetensors file, and JSON beside such files.
    case header
    /// A job file, from its text to the plan.
    case job
    /// A row of the journal, from its text to the scheduler.
    case journal

    /// Feeds the entry with bytes; refused ones are right, and so are accepted ones with all that was promised of them.
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

/// Bytes for which the program did not do what it promises.
public struct BrokenPromise: Error, Equatable, Sendable, CustomStringConvertible {
    /// The sentence for the developer.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// What a throwing expression gives, or `nil` for a refusal.
///
/// A refusal's sentence goes to a log and to a peer, so it is written out, and is bounded whatever the bytes were.
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
