import Identifiers

/// Units that need much memory: how often others went past them, which workers are kept for them, and what was told of
/// those that fit no worker.
struct Reservations: Sendable {
    /// How often units were passed over that did not fit.
    private var passes: [UnitReference: Int] = [:]
    /// The workers that are kept for some of them.
    private(set) var workers: [WorkerID: UnitReference] = [:]
    /// The memory of the largest worker when it was told that a job's unit fits none.
    private var unfitTold: [JobID: UInt64] = [:]

    /// Whether something of a job is remembered, besides the workers that are kept.
    var isEmpty: Bool { passes.isEmpty && unfitTold.isEmpty }

    /// Counts that a unit was passed over, and keeps the worker for it when that was too often.
    ///
    /// - Returns: Whether the worker is kept now.
    mutating func notePass(of unit: UnitReference, by worker: WorkerID, passesMax: Int) -> Bool {
        passes[unit, default: 0] += 1
        guard passes[unit] ?? 0 > passesMax, !workers.values.contains(unit) else { return false }
        workers[worker] = unit
        return true
    }

    /// A unit waits no more.
    mutating func release(_ unit: UnitReference) {
        guard passes.removeValue(forKey: unit) != nil else { return }
        for (worker, reserved) in workers where reserved == unit { workers[worker] = nil }
    }

    /// A worker leaves, or is gone.
    mutating func remove(_ worker: WorkerID) { workers[worker] = nil }

    /// Whether it is news that a job's unit fits no worker, the largest of which has so much memory.
    func isNews(of job: JobID, largestMemory: UInt64) -> Bool { unfitTold[job] != largestMemory }

    /// It was told that a job's unit fits no worker.
    mutating func noteTold(of job: JobID, largestMemory: UInt64) { unfitTold[job] = largestMemory }

    /// A job has ended.
    mutating func remove(_ job: JobID) {
        for unit in passes.keys where unit.job == job { release(unit) }
        unfitTold[job] = nil
    }
}
