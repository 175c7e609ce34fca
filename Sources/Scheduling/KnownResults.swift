import Identifiers
import JobPlan
import OrderedCollections
import UnitOperations

/// Results of earlier units by key, so that known results are not computed again.
///
/// It is a fold over the journal, so it survives restarts. Bound: ``SchedulerSettings/knownResultsMax``.
struct KnownResults: Sendable {
    private var results: [UnitKey: UnitResult] = [:]
    /// Keys in the order in which they became known; those before `oldest` are forgotten.
    private var order: [UnitKey] = []
    private var oldest = 0

    /// Whether no result is known.
    var isEmpty: Bool { results.isEmpty }

    subscript(key: UnitKey) -> UnitResult? { results[key] }

    /// Remembers a result, and forgets the oldest ones above the bound.
    mutating func insert(_ result: UnitResult, for key: UnitKey, limit: Int) {
        if results.updateValue(result, forKey: key) == nil { order.append(key) }
        while results.count > limit, oldest < order.count {
            results[order[oldest]] = nil
            oldest += 1
        }
        // Remove forgotten keys only occasionally, because removal moves the rest.
        if oldest > 1024, oldest > order.count / 2 {
            order.removeFirst(oldest)
            oldest = 0
        }
    }
}
