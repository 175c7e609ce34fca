/// A job, as the coordinator numbers it: printed at submission, used in every later command.
public struct JobID: Name {
    /// The text of the name.
    public let rawValue: String

    /// Names a job by its text.
    public init(rawValue: String) {
        self.rawValue = rawValue
    }
}
