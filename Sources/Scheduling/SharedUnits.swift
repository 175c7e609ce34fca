import Identifiers
import JobPlan
import OrderedCollections
import UnitOperations

/// Equal units of several jobs, by their keys: only one of the jobs computes them.
struct SharedUnits: Sendable {
    /// Units in progress.
    private(set) var underWay: [UnitKey: UnitReference] = [:]
    /// Ready units whose results were unknown when their keys were looked up.
    ///
    /// Some may no longer be ready.
    private var waiting: [UnitKey: OrderedSet<UnitReference>] = [:]
    /// Units whose keys must still be looked up among the known results.
    private var unsettled: [UnitReference] = []

    /// Whether a key must still be looked up.
    var hasUnsettled: Bool { !unsettled.isEmpty }
    /// Whether nothing is remembered.
    var isEmpty: Bool { underWay.isEmpty && waiting.isEmpty && unsettled.isEmpty }

    /// Queues units whose keys must be looked up.
    mutating func settleLater(_ units: some Sequence<UnitReference>) { unsettled += units }

    /// Removes and returns a unit whose key must be looked up.
    mutating func nextUnsettled() -> UnitReference? { unsettled.popLast() }

    /// Notes a ready unit whose result is unknown; it is looked up again when a result comes.
    mutating func wait(_ unit: UnitReference, for key: UnitKey) { waiting[key, default: []].append(unit) }

    /// Queues the units that wait for a new result, or compute it for another job.
    mutating func noteKnown(_ key: UnitKey, by unit: UnitReference) {
        unsettled += waiting.removeValue(forKey: key) ?? []
        if let other = underWay[key], other != unit { unsettled.append(other) }
    }

    /// Notes that a unit is being computed.
    mutating func begin(_ unit: UnitReference, _ key: UnitKey) { underWay[key] = unit }

    /// Notes that a unit is no longer computed; equal units need not wait for it.
    mutating func end(_ unit: UnitReference, _ key: UnitKey) {
        if underWay[key] == unit { underWay[key] = nil }
    }

    /// Whether an equal unit is in progress for another job; its result will serve both.
    func isComputedForAnother(_ unit: UnitReference, _ key: UnitKey) -> Bool {
        underWay[key].map { $0 != unit } ?? false
    }

    /// Forgets a job that has ended.
    mutating func remove(_ job: JobID) {
        unsettled.removeAll { $0.job == job }
        underWay = underWay.filter { $0.value.job != job }
        waiting = waiting.mapValues { $0.filter { $0.job != job } }.filter { !$0.value.isEmpty }
    }
}
