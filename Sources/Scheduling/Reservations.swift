import Identifiers

/// The units that need much memory: their passes, the workers that are reserved for them, and the notices about them.
struct Reservations: Sendable {
    /// The number of times that a unit did not fit and another was assigned in its place.
    private var passes: [UnitReference: Int] = [:]
    /// The reserved workers, each with its unit.
    private(set) var workers: [WorkerID: UnitReference] = [:]
    /// The memory of the largest worker at the last notice that a job's unit fits no worker.
    private var unfitTold: [JobID: UInt64] = [:]

    /// Whether no pass and no notice is remembered.
    var isEmpty: Bool { passes.isEmpty && unfitTold.isEmpty }

    /// Counts a pass of a unit, and reserves the worker for it after too many passes.
    ///
    /// - Returns: Whether the worker is now reserved.
    mutating func notePass(of unit: UnitReference, by worker: WorkerID, passesMax: Int) -> Bool {
        passes[unit, default: 0] += 1
        guard passes[unit] ?? 0 > passesMax, !workers.values.contains(unit) else { return false }
        workers[worker] = unit
        return true
    }

    /// Forgets a unit that no longer waits, and releases its worker.
    mutating func release(_ unit: UnitReference) {
        guard passes.removeValue(forKey: unit) != nil else { return }
        for (worker, reserved) in workers where reserved == unit { workers[worker] = nil }
    }

    /// Releases a worker that leaves or is lost.
    mutating func remove(_ worker: WorkerID) { workers[worker] = nil }

    /// Whether a notice that a job's unit fits no worker tells anything new.
    func isNews(of job: JobID, largestMemory: UInt64) -> Bool { unfitTold[job] != largestMemory }

    /// Notes that a notice was given that a job's unit fits no worker.
    mutating func noteTold(of job: JobID, largestMemory: UInt64) { unfitTold[job] = largestMemory }

    /// Forgets a job that has ended.
    mutating func remove(_ job: JobID) {
        for unit in passes.keys where unit.job == job { release(unit) }
        unfitTold[job] = nil
    }
}
