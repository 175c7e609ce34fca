/// Something that a person should know of a job, and that does not stop it.
///
/// Shown by `plan`, `submit` and `run`, and written to the report. What stops a job is a ``JobProblem``.
public struct JobNotice: Hashable, Sendable, Codable, CustomStringConvertible {
    /// Where: `job.yaml:12:5`, or a file.
    public let location: String
    /// What is so, and what to do when it is not what was meant, in whole sentences.
    public let message: String

    /// States what is so at a place.
    public init(at location: String, _ message: String) {
        self.location = location
        self.message = message
    }

    /// `where: what`.
    public var description: String { "\(location): \(message)" }

    /// Most notices of a job that are shown.
    static let shown = 100

    /// The first notices, each once, and how many more there are.
    static func limited(_ notices: [JobNotice], fileName: String) -> [JobNotice] {
        var seen: Set<JobNotice> = []
        let distinct = notices.filter { seen.insert($0).inserted }
        guard distinct.count > shown else { return distinct }
        return distinct.prefix(shown) + [JobNotice(at: fileName, "there are \(distinct.count - shown) more notices.")]
    }
}
