import Identifiers
import JobPlan
import OrderedCollections

/// Who is asked for a unit that it could compute, and in which order.
///
/// Workers are asked in rounds, the least loaded first. A worker that found nothing is asked again only after a round
/// in which nobody found anything. In the meantime its unit's home may have become busy, and another worker may then
/// help.
extension Scheduler {
    /// The workers that were asked and found nothing.
    private struct Round {
        /// Whether only workers are asked for which something has changed.
        var isPartial: Bool
        /// In a partial search: all workers with a lower load were asked.
        var bound: RosterIndex.Load?
        /// In a full search: the workers.
        var empty: Set<WorkerID> = []
    }

    /// Assigns units to workers until none of them finds any.
    mutating func assignWorkerUnits(_ now: SchedulerInstant, _ effects: inout SchedulerEffects) {
        takeChanges()
        guard !queues.workers.isEmpty else {
            search = AssignmentSearch(isSettled: true)
            return
        }
        var round = Round(isPartial: search.isSettled)
        while true {
            if round.isPartial, !search.isSettled { complete(&round, before: round.bound) }
            let asksAll = !hasEmptyWorkers(round)
            if !round.isPartial { search = AssignmentSearch(isSettled: true) }
            if let (load, entry) = nextAssignment(&round, &effects) {
                queues.workers.remove(entry)
                reservations.release(entry.reference)
                give(entry.reference, to: load.place.worker, now, &effects)
                takeChanges()
                round.bound = load
                continue
            }
            // Stop after a round in which every worker was asked and none found a unit.
            guard !asksAll else { break }
            (round.bound, round.empty) = (nil, [])
        }
        noteUnitsThatFitNobody(&effects)
    }

    /// Whether a worker with room was already asked.
    private func hasEmptyWorkers(_ round: Round) -> Bool {
        guard round.isPartial else {
            return !round.empty.isEmpty
                && roster.index.withRoom.elements.contains { round.empty.contains($0.place.worker) }
        }
        guard let bound = round.bound, let first = roster.index.withRoom.first else { return false }
        return first < bound
    }

    /// Goes on with all workers, where a partial search has asked those with a lower load.
    private func complete(_ round: inout Round, before bound: RosterIndex.Load?) {
        round.isPartial = false
        guard let bound else { return }
        round.empty.formUnion(roster.index.withRoom.elements.prefix { $0 < bound }.map(\.place.worker))
    }

    /// Asks workers with room for another unit, the least loaded first, until one finds a unit.
    private mutating func nextAssignment(
        _ round: inout Round, _ effects: inout SchedulerEffects
    ) -> (RosterIndex.Load, ReadyQueue.Entry)? {
        if round.isPartial {
            var bound = round.bound
            while let load = nextChanged(from: bound) {
                search.changed.remove(load.place.worker)
                if let entry = nextUnit(for: load.place.worker, &effects) {
                    search.changed.insert(load.place.worker)
                    return (load, entry)
                }
                takeChanges()
                bound = load
                guard search.isSettled else {
                    complete(&round, before: load)
                    round.empty.insert(load.place.worker)
                    break
                }
            }
            if round.isPartial { return nil }
        }
        for load in roster.index.withRoom.elements where !round.empty.contains(load.place.worker) {
            if let entry = nextUnit(for: load.place.worker, &effects) { return (load, entry) }
            round.empty.insert(load.place.worker)
        }
        return nil
    }

    /// The least loaded of the workers for which something has changed.
    private mutating func nextChanged(from bound: RosterIndex.Load?) -> RosterIndex.Load? {
        var next: RosterIndex.Load?
        for worker in search.changed {
            guard let load = roster.load(of: worker) else {
                // It is noted again when it has room.
                search.changed.remove(worker)
                continue
            }
            if bound.map({ $0 < load }) ?? true, next.map({ load < $0 }) ?? true { next = load }
        }
        return next
    }

    /// Notes for whom something has changed.
    mutating func takeChanges() {
        if queues.workers.hasNewUnhomed || !reservations.workers.isEmpty { search.isSettled = false }
        let changed = roster.changed.union(queues.workers.changedHomes)
        roster.forgetChanges()
        queues.workers.forgetChanges()
        guard search.isSettled, !changed.isEmpty else { return }
        search.changed.formUnion(changed)
        if changed.contains(where: isHomeForOthers) { search.isSettled = false }
    }

    /// Whether other workers may be given units of a home.
    private func isHomeForOthers(_ home: WorkerID) -> Bool {
        guard homesTakeAllUnits else { return true }
        guard !roster.index.withFreeLane.isEmpty, roster.hasFreeLane(home) == false else { return false }
        return queues.workers.isMovable(home)
    }
}
