import Identifiers
import JobPlan
import OrderedCollections

/// Units that need much memory: smaller ones go past them while they do not fit, but not for ever.
///
/// A worker that small units fill again and again never has room for a large one, however urgent. After
/// ``SchedulerSettings/passesMax`` units went past a large one, a worker is kept for it and takes nothing else until it
/// fits.
extension Scheduler {
    /// Counts that a unit was passed over, and keeps the worker for it when that was too often.
    ///
    /// - Returns: Whether the worker is kept now.
    mutating func isPassedOverTooOften(_ entry: ReadyQueue.Entry, by worker: WorkerID) -> Bool {
        guard !isComputedForAnother(entry.reference) else { return false }
        passes[entry.reference, default: 0] += 1
        guard passes[entry.reference] ?? 0 > settings.passesMax, !reservations.values.contains(entry.reference) else {
            return false
        }
        reservations[worker] = entry.reference
        return true
    }

    /// The unit that a worker is kept for, as long as it waits for it.
    mutating func reservedEntry(for worker: WorkerID) -> ReadyQueue.Entry? {
        guard let unit = reservations[worker] else { return nil }
        // Keeping a worker only helps a unit that lacks nothing but memory.
        let canWait = hasInputs(unit) && mayTry(unit, worker) && !isComputedForAnother(unit)
        if canWait, jobs[unit.job]?.states[unit.unit.position] == .ready { return entry(for: unit) }
        releaseReservation(of: unit)
        return nil
    }

    /// Whether the same is under way for another job, whose result will be this one's too.
    mutating func isComputedForAnother(_ unit: UnitReference) -> Bool {
        guard let key = key(of: unit), let other = keysUnderWay[key] else { return false }
        return other != unit
    }

    /// A unit waits no more.
    mutating func releaseReservation(of unit: UnitReference) {
        guard passes.removeValue(forKey: unit) != nil else { return }
        for (worker, reserved) in reservations where reserved == unit { reservations[worker] = nil }
    }
}
