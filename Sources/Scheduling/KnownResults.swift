import Identifiers
import JobPlan
import OrderedCollections
import UnitOperations

/// Results of earlier units by their keys: what is already known is not computed again.
///
/// A fold over the journal, so it outlives restarts. Bound: ``SchedulerSettings/knownResultsMax``.
struct KnownResults: Sendable {
    private var results: [UnitKey: UnitResult] = [:]
    /// Keys in the order in which they became known; those before `oldest` are forgotten.
    private var order: [UnitKey] = []
    private var oldest = 0

    subscript(key: UnitKey) -> UnitResult? { results[key] }

    /// Remembers a result, and forgets the oldest beyond the bound.
    mutating func insert(_ result: UnitResult, for key: UnitKey, limit: Int) {
        if results.updateValue(result, forKey: key) == nil { order.append(key) }
        while results.count > limit, oldest < order.count {
            results[order[oldest]] = nil
            oldest += 1
        }
        // What was forgotten is cut off now and then, not each time.
        if oldest > 1024, oldest > order.count / 2 {
            order.removeFirst(oldest)
            oldest = 0
        }
    }
}
