public import Identifiers

/// One problem of a job, written for the person who must correct it.
///
/// The sentence's order is: place, what is wrong, what was expected, what to do. All problems of a job are reported
/// together.
public struct JobProblem: Hashable, Sendable, Codable, CustomStringConvertible {
    /// The place: `job.yaml:12:5`, a file, or a file and a tensor.
    public let location: String
    /// What is wrong, what was expected and what to do, in whole sentences.
    public let message: String

    /// States a problem at a place; both texts are made printable.
    public init(at location: String, _ message: String) {
        self.location = location.sentence
        self.message = message.sentence
    }

    /// `location: message`.
    public var description: String { "\(location): \(message)" }
}

extension SharedFaults {
    /// The findings as problems of a job.
    public var problems: [JobProblem] { findings.map { JobProblem(at: $0.place, $0.sentence) } }

    /// The findings as notices of a job.
    public var notices: [JobNotice] { findings.map { JobNotice(at: $0.place, $0.sentence) } }
}

/// The reason why a job was not accepted: all of its problems.
public struct JobRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    /// The problems, in the order of the job file, cut by `CutList`.
    public let problems: [JobProblem]

    /// Whether the check was interrupted; then the job may still be correct.
    public let isInterruption: Bool

    /// States why the check of a job did not finish.
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

    /// One line for each problem.
    public var description: String { problems.lazy.map(\.description).cutLines }
}
