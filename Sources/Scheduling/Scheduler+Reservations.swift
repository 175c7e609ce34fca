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
        return reservations.notePass(of: entry.reference, by: worker, passesMax: settings.passesMax)
    }

    /// The unit that a worker is kept for, as long as it waits for it.
    mutating func reservedEntry(for worker: WorkerID) -> ReadyQueue.Entry? {
        guard let unit = reservations.workers[worker] else { return nil }
        // Keeping a worker only helps a unit that lacks nothing but memory.
        let canWait = hasInputs(unit) && mayTry(unit, worker) && !isComputedForAnother(unit)
        if canWait, jobs[unit.job]?.states[unit.unit.position] == .ready { return entry(for: unit) }
        reservations.release(unit)
        return nil
    }

    /// Whether the same is under way for another job, whose result will be this one's too.
    mutating func isComputedForAnother(_ unit: UnitReference) -> Bool {
        key(of: unit).map { shared.isComputedForAnother(unit, $0) } ?? false
    }
}
