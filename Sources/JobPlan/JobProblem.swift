import Identifiers

/// One thing that is wrong with a job, written for the person who must mend it.
///
/// Sentence: where: what is wrong; what was expected. What to do. All problems of a job are reported together.
public struct JobProblem: Hashable, Sendable, Codable, CustomStringConvertible {
    /// Where: `job.yaml:12:5`, a file, or a file and a tensor.
    public let location: String
    /// What is wrong, what was expected and what to do, in whole sentences.
    public let message: String

    /// States what is wrong at a place; both are made printable.
    public init(at location: String, _ message: String) {
        self.location = location.sentence
        self.message = message.sentence
    }

    /// `where: what`.
    public var description: String { "\(location): \(message)" }
}

/// The reason why a job was not accepted: everything that is wrong with it.
public struct JobRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// The problems, in the order of the job file, cut by `CutList`.
    public let problems: [JobProblem]

    /// Whether nothing is known to be wrong with the job: it could not be checked to the end.
    public let isInterruption: Bool

    /// States why a job was not checked to the end.
    public init(interruption: String) {
        problems = [JobProblem(at: "the check of the job file", "\(interruption).")]
        isInterruption = true
    }

    /// Collects the problems of one job.
    public init(problems: [JobProblem]) {
        isInterruption = false
        self.problems = CutList(problems) { $0.message }.elements { words, last in
            JobProblem(at: last?.location ?? "the job", words)
        }
    }

    /// A line a problem.
    public var description: String { problems.lazy.map(\.description).cutLines }
}
