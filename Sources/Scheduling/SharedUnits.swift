import Identifiers
import JobPlan
import OrderedCollections

/// Units of several jobs that are the same, by their keys: what one job computes, no other does.
struct SharedUnits: Sendable {
    /// Units that are computed now.
    private(set) var underWay: [UnitKey: UnitReference] = [:]
    /// Units that were ready when their keys were looked up, and not known; some are not ready any more.
    private var waiting: [UnitKey: OrderedSet<UnitReference>] = [:]
    /// Units whose keys are to be looked up among the known results.
    private var unsettled: [UnitReference] = []

    /// Whether a key has still to be looked up.
    var hasUnsettled: Bool { !unsettled.isEmpty }
    /// Whether something of a job is remembered.
    var isEmpty: Bool { underWay.isEmpty && waiting.isEmpty && unsettled.isEmpty }

    /// Lets the keys of units be looked up.
    mutating func settleLater(_ units: some Sequence<UnitReference>) { unsettled += units }

    /// Takes out a unit whose key is to be looked up.
    mutating func nextUnsettled() -> UnitReference? { unsettled.popLast() }

    /// A ready unit's result is not known: it is looked up again when it is.
    mutating func wait(_ unit: UnitReference, for key: UnitKey) { waiting[key, default: []].append(unit) }

    /// A result has become known: whoever waits for it, or computes it for another job, is looked at.
    mutating func noteKnown(_ key: UnitKey, by unit: UnitReference) {
        unsettled += waiting.removeValue(forKey: key) ?? []
        if let other = underWay[key], other != unit { unsettled.append(other) }
    }

    /// A unit is being computed.
    mutating func begin(_ unit: UnitReference, _ key: UnitKey) { underWay[key] = unit }

    /// Nobody computes a unit any more: others that are the same need not wait for it.
    mutating func end(_ unit: UnitReference, _ key: UnitKey) {
        if underWay[key] == unit { underWay[key] = nil }
    }

    /// Whether the same is under way for another job, whose result will be this one's too.
    func isComputedForAnother(_ unit: UnitReference, _ key: UnitKey) -> Bool {
        underWay[key].map { $0 != unit } ?? false
    }

    /// A job has ended.
    mutating func remove(_ job: JobID) {
        unsettled.removeAll { $0.job == job }
        underWay = underWay.filter { $0.value.job != job }
        waiting = waiting.mapValues { $0.filter { $0.job != job } }.filter { !$0.value.isEmpty }
    }
}
