public import Supervision

/// The content of the status pages; it is asked for at every request.
public struct StatusSource: Sendable {
    /// The daemon's problems, one sentence each; empty when it is healthy.
    public var healthProblems: @Sendable () -> [String]
    /// Why the daemon cannot do its work now, or `nil` when it can.
    public var notReady: @Sendable () -> String?
    /// The program's version and its components, by name.
    public var version: [(name: String, value: String)]
    /// The metrics as text, and the content type of that text.
    public var metrics: @Sendable () async -> (text: String, contentType: String)
    /// One line about the daemon's current activity.
    public var status: @Sendable () async -> String
    /// The sections of the page for people.
    public var sections: @Sendable () async -> [StatusSection]

    /// Collects the content of the pages.
    public init(
        version: [(name: String, value: String)], healthProblems: @escaping @Sendable () -> [String],
        notReady: @escaping @Sendable () -> String?,
        metrics: @escaping @Sendable () async -> (text: String, contentType: String),
        status: @escaping @Sendable () async -> String, sections: @escaping @Sendable () async -> [StatusSection]
    ) {
        self.version = version
        self.healthProblems = healthProblems
        self.notReady = notReady
        self.metrics = metrics
        self.status = status
        self.sections = sections
    }
}
