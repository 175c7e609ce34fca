public import Identifiers

/// Why a results file could not be written or read.
public enum StudyReportError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file's text does not have this module's format.
    case unreadable(file: String, place: String, problem: String)
    /// Another version wrote the file.
    case otherFormat(file: String, FormatProblem)
    /// The values could not be written as JSON.
    case unwritable(file: String, problem: String)

    /// The problem as a sentence with its file and place.
    public var description: String {
        switch self {
        case .unreadable(let file, let place, let problem):
            "\(file): \(place.isEmpty ? "" : place + ": ")\(problem); expected what kfaclab writes. Reproduce it."
        case .otherFormat(let file, let problem): "\(file): \(problem)"
        case .unwritable(let file, let problem):
            "\(file): cannot be written as JSON: \(problem); expected numbers and text. Report this as a defect."
        }
    }
}
