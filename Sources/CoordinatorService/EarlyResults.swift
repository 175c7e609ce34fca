import JobPlan
import Scheduling
import UnitOperations
import WireProtocol
import ZeroMQ

/// Results from connections whose worker has not greeted yet.
///
/// When a connection breaks, its queued messages go over the next one, before the greeting. Only the greeting tells
/// which worker a result is from, and so where its blobs are.
/// Bound: ``countMax`` results of at most ``numbersMax`` blobs and measured numbers. Other results are computed again.
struct EarlyResults {
    /// The outcome of a unit.
    struct EarlyResult {
        let peer: RoutingIdentity
        let unit: LeasedUnitName
        let result: UnitResult
        let timing: UnitTiming
    }

    static let countMax = 64
    static let numbersMax = 4096

    private var results: [EarlyResult] = []

    /// Keeps a result; drops the oldest when there is no room.
    mutating func keep(_ result: EarlyResult) {
        let numbers = result.result.measurements.values.reduce(result.result.blobs.count) { $0 + $1.count }
        guard numbers <= Self.numbersMax else { return }
        if results.count == Self.countMax { results.removeFirst() }
        results.append(result)
    }

    /// Removes and returns the results of a connection.
    mutating func take(from peer: RoutingIdentity) -> [EarlyResult] {
        defer { results.removeAll { $0.peer == peer } }
        return results.filter { $0.peer == peer }
    }
}
