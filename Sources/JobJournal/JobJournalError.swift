public import Identifiers

/// Why the journal cannot be used.
public enum JobJournalError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The database cannot be opened.
    case cannotOpen(path: String, cause: String)
    /// Facts could not be made durable; none of them was recorded.
    case cannotAppend(path: String, cause: String)
    /// Facts could not be made durable because the disk or the quota is full; none of them was recorded.
    case diskFull(path: String)
    /// Another version wrote the journal or a file beside it.
    case format(path: String, FormatProblem)
    /// A stored fact cannot be read.
    case unreadable(path: String, row: Int64, cause: String)

    /// The sentence for the operator.
    public var description: String {
        switch self {
        case .cannotOpen(let path, let cause):
            "\(path): the journal cannot be opened: \(cause). Check the state directory, its permissions and the room on its disk."
        case .cannotAppend(let path, let cause):
            "\(path): the journal cannot be written: \(cause). Free disk space; nothing was recorded."
        case .diskFull(let path):
            "\(path): the journal cannot be written: no space is left on the disk or in the quota. Make room: work goes "
                + "on by itself then."
        case .format(let path, let problem): "\(path): the journal \(problem)"
        case .unreadable(let path, let row, let cause):
            "\(path): record \(row) cannot be read: \(cause). It was written by another version, or is damaged; "
                + "restore the state directory, or start with an empty one."
        }
    }
}
