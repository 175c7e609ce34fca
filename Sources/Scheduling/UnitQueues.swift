import Identifiers
import OrderedCollections

/// The units that no worker has and that can be computed, now or after a rest.
struct UnitQueues: Sendable {
    /// The units for workers.
    var workers = WorkQueues()
    /// The units for the coordinator itself.
    var coordinator = ReadyQueue()
    /// The units that wait for room on a disk, or that rest after the loss of inputs.
    var resting: OrderedSet<UnitReference> = []

    /// Whether no unit can be computed now.
    var hasNoneReady: Bool { workers.isEmpty && coordinator.isEmpty }

    /// Removes a unit from the queue that it waits in.
    mutating func remove(_ entry: ReadyQueue.Entry) {
        workers.remove(entry)
        coordinator.remove(entry)
    }

    /// Forgets a job that has ended.
    mutating func remove(_ job: JobID) {
        workers.removeAll(of: job)
        coordinator.removeAll(of: job)
        resting.removeAll { $0.job == job }
    }
}
