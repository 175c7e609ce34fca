/// The names of what log lines carry, so that every program says the same.
public enum LogKeys {
    /// The job's identifier.
    public static let job = "job"
    /// The unit's position in the plan.
    public static let unit = "unit"
    /// What the unit does, with its layer's name.
    public static let title = "title"
    /// The layer, or the parameter outside layers, that the unit is about.
    public static let layer = "layer"
    /// Which lease of the unit.
    public static let attempt = "attempt"
    /// The worker.
    public static let worker = "worker"
    /// Where something listens or connects.
    public static let endpoint = "endpoint"
    /// Why something failed, as a sentence.
    public static let cause = "cause"
    /// How long something took, in seconds.
    public static let seconds = "seconds"
    /// A size in bytes.
    public static let bytes = "bytes"
}
