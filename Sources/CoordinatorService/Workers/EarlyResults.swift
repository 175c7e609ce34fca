import Identifiers
import JobPlan
import Scheduling
import ZeroMQ

/// Results that came by a connection whose worker has not greeted yet.
///
/// When a connection breaks, what was queued for it goes over the next one, before the greeting. Whose such a result
/// is, and so where its blobs lie, the greeting tells.
/// Bound: ``countMax`` results of at most ``numbersMax`` blobs and measured numbers; others are computed again.
struct EarlyResults {
    /// What became of a unit.
    struct EarlyResult {
        let peer: RoutingIdentity
        let unit: LeasedUnit
        let result: UnitResult
        let timing: UnitTiming
    }

    static let countMax = 64
    static let numbersMax = 4096

    private var results: [EarlyResult] = []

    /// Keeps a result, for which the oldest gives way.
    mutating func keep(_ result: EarlyResult) {
        let numbers = result.result.measurements.values.reduce(result.result.blobs.count) { $0 + $1.count }
        guard numbers <= Self.numbersMax else { return }
        if results.count == Self.countMax { results.removeFirst() }
        results.append(result)
    }

    /// Gives up the results that came by a connection.
    mutating func take(from peer: RoutingIdentity) -> [EarlyResult] {
        defer { results.removeAll { $0.peer == peer } }
        return results.filter { $0.peer == peer }
    }
}
