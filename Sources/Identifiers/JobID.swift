/// The name of a job.
///
/// The coordinator numbers it, prints it at submission, and every later command uses it.
public struct JobID: Name {
    /// The text of the name.
    public let rawValue: String

    /// Names a job by its text.
    public init(rawValue: String) {
        self.rawValue = rawValue
    }
}
