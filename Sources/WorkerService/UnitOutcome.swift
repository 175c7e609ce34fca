import Identifiers
import JobPlan

/// What became of a unit: the boundary beyond which no error of a computation passes.
enum UnitOutcome: Sendable {
    /// Its blobs lie in the cache.
    case computed(UnitResult)
    /// It could not be computed.
    case failed(UnitFailure)
    /// It is no longer wanted; nobody is told.
    case cancelled
}
