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
        return reservations.notePass(of: entry.reference, by: worker, passesMax: settings.passesMax)
    }

    /// The unit that a worker is reserved for, while the unit waits.
    mutating func reservedEntry(for worker: WorkerID) -> ReadyQueue.Entry? {
        guard let unit = reservations.workers[worker] else { return nil }
        // A reservation only helps a unit that lacks nothing but memory.
        let canWait = hasInputs(unit) && mayTry(unit, worker) && !isComputedForAnother(unit)
        if canWait, jobs[unit.job]?.states[unit.unit.position] == .ready { return entry(for: unit) }
        reservations.release(unit)
        return nil
    }

    /// Whether another job computes the same unit now; its result will then serve both.
    mutating func isComputedForAnother(_ unit: UnitReference) -> Bool {
        key(of: unit).map { shared.isComputedForAnother(unit, $0) } ?? false
    }
}
