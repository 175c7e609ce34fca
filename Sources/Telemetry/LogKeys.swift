/// The names of the fields in log lines, shared by all programs.
public enum LogKeys {
    /// The job's identifier.
    public static let job = "job"
    /// The unit's position in the plan.
    public static let unit = "unit"
    /// The unit's task, with its layer's name.
    public static let title = "title"
    /// The layer, or the parameter outside layers, that the unit is about.
    public static let layer = "layer"
    /// The lease of the unit.
    public static let attempt = "attempt"
    /// The worker.
    public static let worker = "worker"
    /// An address that a socket listens at or connects to.
    public static let endpoint = "endpoint"
    /// The cause of a failure, as a sentence.
    public static let cause = "cause"
    /// A duration in seconds.
    public static let seconds = "seconds"
    /// A size in bytes.
    public static let bytes = "bytes"
}
