import Identifiers
import JobPlan
import OrderedCollections

/// Reservations for units that need much memory.
///
/// Smaller units pass them while they do not fit, but not endlessly.
///
/// Small units can keep a worker so full that a large unit never fits, however urgent it is. After
/// ``SchedulerSettings/passesMax`` units have passed a large one, a worker is reserved for it and takes nothing else
/// until it fits.
extension Scheduler {
    /// Counts that a unit was passed over, and reserves the worker for it when that happened too often.
    ///
    /// - Returns: Whether the worker is reserved now.
    mutating func isPassedOverTooOften(_ entry: ReadyQueue.Entry, by worker: WorkerID) -> Bool {
        guard !isComputedForAnother(entry.reference) else { return false }
        passes[entry.reference, default: 0] += 1
        guard passes[entry.reference] ?? 0 > settings.passesMax, !reservations.values.contains(entry.reference) else {
            return false
        }
        reservations[worker] = entry.reference
        return true
    }

    /// The unit that a worker is reserved for, while the unit waits.
    mutating func reservedEntry(for worker: WorkerID) -> ReadyQueue.Entry? {
        guard let unit = reservations[worker] else { return nil }
        // A reservation only helps a unit that lacks nothing but memory.
        let canWait = hasInputs(unit) && mayTry(unit, worker) && !isComputedForAnother(unit)
        if canWait, jobs[unit.job]?.states[unit.unit.position] == .ready { return entry(for: unit) }
        releaseReservation(of: unit)
        return nil
    }

    /// Whether another job computes the same unit now; its result will then serve both.
    mutating func isComputedForAnother(_ unit: UnitReference) -> Bool {
        guard let key = key(of: unit), let other = keysUnderWay[key] else { return false }
        return other != unit
    }

    /// Ends the reservation of a unit that no longer waits.
    mutating func releaseReservation(of unit: UnitReference) {
        guard passes.removeValue(forKey: unit) != nil else { return }
        for (worker, reserved) in reservations where reserved == unit { reservations[worker] = nil }
    }
}
