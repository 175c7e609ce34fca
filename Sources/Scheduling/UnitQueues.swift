import Identifiers
import OrderedCollections

/// The units that nobody has and that could be computed, now or when they have rested.
struct UnitQueues: Sendable {
    /// Those for workers.
    var workers = WorkQueues()
    /// Those for the coordinator itself.
    var coordinator = ReadyQueue()
    /// Those that wait for room on a disk, or after their inputs were lost.
    var resting: OrderedSet<UnitReference> = []

    /// Whether nothing could be computed now.
    var hasNoneReady: Bool { workers.isEmpty && coordinator.isEmpty }

    /// Takes a unit out, wherever it waits to be computed.
    mutating func remove(_ entry: ReadyQueue.Entry) {
        workers.remove(entry)
        coordinator.remove(entry)
    }

    /// A job has ended.
    mutating func remove(_ job: JobID) {
        workers.removeAll(of: job)
        coordinator.removeAll(of: job)
        resting.removeAll { $0.job == job }
    }
}
