public import Supervision

/// What the status pages show; asked anew for every request.
public struct StatusSource: Sendable {
    /// What is wrong with the daemon, one sentence each; nothing when it is well.
    public var healthProblems: @Sendable () -> [String]
    /// Why the daemon cannot do its work now, or `nil` when it can.
    public var notReady: @Sendable () -> String?
    /// The program's version and what it was built with, by name.
    public var version: [(name: String, value: String)]
    /// The metrics as text, and the type of that text.
    public var metrics: @Sendable () async -> (text: String, contentType: String)
    /// One line on what the daemon does.
    public var status: @Sendable () async -> String
    /// What it does and has.
    public var sections: @Sendable () async -> [StatusSection]

    /// Collects what the pages show.
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
