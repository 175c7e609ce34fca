import Synchronization

/// The progress of a check, for the person who waits for it.
public final class AdmissionProgress: Sendable {
    private let text = Mutex("")

    /// Begins without a text.
    public init() {}

    /// Sets the current activity.
    public func note(_ text: String) {
        self.text.withLock { $0 = text }
    }

    /// The current activity, as the rest of a sentence that begins with "the job file".
    public var current: String { text.withLock { $0 } }
}
