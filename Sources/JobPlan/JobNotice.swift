import Identifiers

/// A remark about a job that does not stop it.
///
/// `plan`, `submit` and `run` show it, and the report contains it. A ``JobProblem`` stops the job.
public struct JobNotice: Hashable, Sendable, Codable, CustomStringConvertible {
    /// The place: `job.yaml:12:5`, or a file.
    public let location: String
    /// The fact, and what to do if it was not intended, in whole sentences.
    public let message: String

    /// States a fact at a place; both texts are made printable.
    public init(at location: String, _ message: String) {
        self.location = location.sentence
        self.message = message.sentence
    }

    /// `location: message`.
    public var description: String { "\(location): \(message)" }

    /// Distinct notices, cut by `CutList`.
    static func limited(_ notices: [JobNotice]) -> [JobNotice] {
        var seen: Set<JobNotice> = []
        let distinct = notices.filter { seen.insert($0).inserted }
        return CutList(distinct) { $0.message }.elements { words, last in
            JobNotice(at: last?.location ?? "the job", words)
        }
    }
}
