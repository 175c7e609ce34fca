import Synchronization

/// The progress of a check, for the person who waits for it.
public final class AdmissionProgress: Sendable {
    private let text = Mutex("")

    /// Begins without a text.
    public init() {}

    /// Sets the current activity, as in "reading the headers of the base"; the client puts it after a colon.
    public func note(_ text: String) {
        self.text.withLock { $0 = text }
    }

    /// The current activity.
    public var current: String { text.withLock { $0 } }
}
