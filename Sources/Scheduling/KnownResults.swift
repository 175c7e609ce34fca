import Identifiers
import JobPlan
import OrderedCollections
import UnitOperations

/// Results of earlier units by key, so that known results are not computed again.
///
/// It is a fold over the journal, so it survives restarts. Bound: ``SchedulerSettings/knownResultsMax``.
struct KnownResults: Sendable {
    private var results: [ResultKey: UnitResult] = [:]
    /// Keys in the order in which they became known; those before `oldest` are forgotten.
    private var order: [ResultKey] = []
    private var oldest = 0
    /// The regimes of all results that were ever known, sorted.
    private(set) var regimes: [NumericRegime] = []

    /// Whether no result is known.
    var isEmpty: Bool { results.isEmpty }

    /// A unit's result and its key, of the first of the regimes that has one.
    func result(of unit: UnitKey, in regimes: [NumericRegime]) -> (key: ResultKey, result: UnitResult)? {
        for regime in regimes {
            let key = ResultKey(unit, in: regime)
            if let result = results[key] { return (key, result) }
        }
        return nil
    }

    /// Remembers a result, and forgets the oldest ones above the bound.
    mutating func insert(_ result: UnitResult, for key: ResultKey, limit: Int) {
        if !regimes.contains(key.regime) { regimes = (regimes + [key.regime]).sorted() }
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
