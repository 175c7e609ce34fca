import Identifiers
import JobPlan
import OrderedCollections
import UnitOperations

/// Results of earlier units by their keys: what is already known is not computed again.
///
/// A fold over the journal, so it outlives restarts. Bound: ``SchedulerSettings/knownResultsMax``.
struct KnownResults: Sendable {
    private var results: [ResultKey: UnitResult] = [:]
    /// Keys in the order in which they became known; those before `oldest` are forgotten.
    private var order: [ResultKey] = []
    private var oldest = 0
    /// The regimes of all that was ever known, in their order.
    private(set) var regimes: [NumericRegime] = []

    /// A unit's result in one of some regimes, with its key: of the first that it is known in.
    func result(of unit: UnitKey, in regimes: [NumericRegime]) -> (key: ResultKey, result: UnitResult)? {
        for regime in regimes {
            let key = ResultKey(unit, in: regime)
            if let result = results[key] { return (key, result) }
        }
        return nil
    }

    /// Remembers a result, and forgets the oldest beyond the bound.
    mutating func insert(_ result: UnitResult, for key: ResultKey, limit: Int) {
        if !regimes.contains(key.regime) { regimes = (regimes + [key.regime]).sorted() }
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
