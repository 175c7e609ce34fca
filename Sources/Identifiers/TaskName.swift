/// A task: one data owner's fine-tuning, with its checkpoint, its captures or its factors.
public struct TaskName: Name {
    /// The text of the name.
    public let rawValue: String

    /// Names a task by its text.
    public init(rawValue: String) {
        self.rawValue = rawValue
    }
}
