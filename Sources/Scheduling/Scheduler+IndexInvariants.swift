import Identifiers
import JobPlan
import OrderedCollections

/// What must hold of the orders that spare the walks over all workers, units and blobs.
extension Scheduler {
    /// The violated invariants of the indexes: each is compared with one that is made anew.
    func violatedIndexInvariants() -> [String] {
        var violations: [String] = []
        var index = RosterIndex()
        for worker in roster.workers.values { roster.note(worker, in: &index) }
        if !index.agrees(with: roster.index) { violations.append("the roster's index differs from its workers") }
        if !queues.workers.knowsItsHomes { violations.append("the homes with units are not those of the queues") }
        if !ledger.knowsOpenCollections(limit: settings.collectionsPerWorker) {
            violations.append("the blobs to be ordered are not those that are wanted and held")
        }
        // Whoever need not be asked must find nothing.
        var copy = self
        copy.takeChanges()
        guard copy.search.isSettled else { return violations }
        for load in roster.index.withRoom.elements where !copy.search.changed.contains(load.place.worker) {
            var effects = SchedulerEffects()
            if let entry = copy.nextUnit(for: load.place.worker, &effects) {
                violations.append("\(load.place.worker) is not asked and could compute \(entry.reference)")
            }
        }
        return violations
    }
}

extension RosterIndex {
    /// Whether all orders are equal.
    func agrees(with other: RosterIndex) -> Bool {
        withRoom.elements.elementsEqual(other.withRoom.elements) && idle.elements.elementsEqual(other.idle.elements)
            && withFreeLane.elements.elementsEqual(other.withFreeLane.elements)
            && withMovableUnit.elements.elementsEqual(other.withMovableUnit.elements)
            && draining.elements.elementsEqual(other.draining.elements)
            && paused.elements.elementsEqual(other.paused.elements)
            && heard.elements.elementsEqual(other.heard.elements)
            && leaseEnds.elements.elementsEqual(other.leaseEnds.elements)
            && memories.elements.elementsEqual(other.memories.elements)
    }
}

extension WorkQueues {
    /// Whether the homes with entries, and with movable ones, are those of the queues.
    var knowsItsHomes: Bool {
        let nonEmpty = Set(homed.filter { !$0.value.isEmpty }.keys)
        let longest = homed.compactMapValues { queue in
            queue.entries.prefix(Self.visibleUnits).filter(\.mayMove).map(\.nominalSeconds).max()
        }
        let movable = movableHomes.elements.map { ($0.place.worker, $0.longestSeconds) }
        return Set(nonEmptyHomes.elements.map(\.worker)) == nonEmpty
            && Dictionary(movable, uniquingKeysWith: max) == longest && movable.count == longest.count
            && leastUnhomedMemory == unhomed.entries.map(\.memoryBytes).min()
    }
}

extension BlobLedger {
    /// Whether every open blob is known at its holders, and every holder that could be given an order.
    func knowsOpenCollections(limit: Int) -> Bool {
        var expected = OpenCollections()
        for blob in wishes.blobs { expected.note(blob, wishes.openPlace(of: blob), heldBy: holders[blob] ?? []) }
        return open.agrees(with: expected) { wishes.orderCounts[$0] ?? 0 < limit }
    }
}
