import Identifiers

/// Something that a person should know of a job, and that does not stop it.
///
/// Shown by `plan`, `submit` and `run`, and written to the report. What stops a job is a ``JobProblem``.
public struct JobNotice: Hashable, Sendable, Codable, CustomStringConvertible {
    /// Where: `job.yaml:12:5`, or a file.
    public let location: String
    /// What is so, and what to do when it is not what was meant, in whole sentences.
    public let message: String

    /// States what is so at a place; both are made printable.
    public init(at location: String, _ message: String) {
        self.location = location.sentence
        self.message = message.sentence
    }

    /// `where: what`.
    public var description: String { "\(location): \(message)" }

    /// Each notice once, cut by `CutList`.
    static func limited(_ notices: [JobNotice]) -> [JobNotice] {
        var seen: Set<JobNotice> = []
        let distinct = notices.filter { seen.insert($0).inserted }
        return CutList(distinct) { $0.message }.elements { words, last in
            JobNotice(at: last?.location ?? "the job", words)
        }
    }
}
