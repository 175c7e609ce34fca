/// A worker process, from its first greeting to its end; a restarted worker is another one.
public struct WorkerID: Name {
    /// The text of the name.
    public let rawValue: String

    /// Names a worker process by its text.
    public init(rawValue: String) {
        self.rawValue = rawValue
    }
}
