import UnitOperations
import WireProtocol

/// The outcome of a unit; no error of a computation passes beyond it.
enum UnitOutcome: Sendable {
    /// The unit's blobs are in the cache.
    case computed(UnitResult)
    /// The unit could not be computed.
    case failed(UnitFault, message: String)
    /// The unit is no longer wanted, and nothing is reported.
    case cancelled
}
