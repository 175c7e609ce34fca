/// The exit codes of every program of ours.
///
/// Source: DESIGN section 1.
public enum CommandExit: Int32, Sendable {
    /// The request could not be carried out.
    case failed = 1
    /// Bad usage or bad input; nothing was started.
    case badInput = 2
    /// The coordinator cannot be reached.
    case unreachable = 3
    /// The user interrupted it.
    case interrupted = 130
}
