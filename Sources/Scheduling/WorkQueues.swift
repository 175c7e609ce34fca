import Identifiers
import JobPlan
import OrderedCollections

/// The worker units that can be computed now, by the worker whose blobs they read.
///
/// Units of one group (a layer) read each other's outputs. A group gets a home when its first unit is leased. From then
/// on the home's queue holds its units, so that the blobs of a layer are in one place and need not be sent.
struct WorkQueues: Equatable, Sendable {
    /// A group of a job.
    struct Group: Hashable, Sendable {
        var job: JobID
        var number: Int
    }

    private(set) var homes: [Group: WorkerID] = [:]
    private(set) var unhomed = ReadyQueue()
    /// The entries of each group without a home, so that a group finds its units among a million.
    private var unsettled: [Group: Set<ReadyQueue.Entry>] = [:]
    private(set) var homed: OrderedDictionary<WorkerID, ReadyQueue> = [:]

    /// All entries, in no particular order.
    var entries: [ReadyQueue.Entry] { Array(unhomed.entries) + homed.values.flatMap { Array($0.entries) } }
    var isEmpty: Bool { unhomed.isEmpty && homed.values.allSatisfy(\.isEmpty) }

    mutating func insert(_ entry: ReadyQueue.Entry) {
        if let home = home(of: entry) {
            homed[home, default: ReadyQueue()].insert(entry)
        } else {
            insertUnhomed(entry)
        }
    }

    /// Inserts the units of a new job, whose groups have no home yet.
    mutating func insert(ofNewJob entries: [ReadyQueue.Entry]) {
        unhomed.insert(contentsOf: entries)
        entries.forEach { note($0) }
    }

    private mutating func insertUnhomed(_ entry: ReadyQueue.Entry) {
        unhomed.insert(entry)
        note(entry)
    }

    private mutating func note(_ entry: ReadyQueue.Entry) {
        if let group = group(of: entry) { unsettled[group, default: []].insert(entry) }
    }

    private mutating func removeUnhomed(_ entry: ReadyQueue.Entry) {
        unhomed.remove(entry)
        guard let group = group(of: entry) else { return }
        unsettled[group]?.remove(entry)
        if unsettled[group]?.isEmpty == true { unsettled[group] = nil }
    }

    mutating func remove(_ entry: ReadyQueue.Entry) {
        if let home = home(of: entry) { homed[home]?.remove(entry) } else { removeUnhomed(entry) }
    }

    func home(of entry: ReadyQueue.Entry) -> WorkerID? { group(of: entry).flatMap { homes[$0] } }

    func group(of entry: ReadyQueue.Entry) -> Group? {
        entry.group.map { Group(job: entry.reference.job, number: $0) }
    }

    /// Gives a group a home, and moves its units to the home's queue.
    mutating func settle(_ group: Group, at worker: WorkerID) {
        homes[group] = worker
        for entry in unsettled.removeValue(forKey: group) ?? [] {
            unhomed.remove(entry)
            homed[worker, default: ReadyQueue()].insert(entry)
        }
    }

    /// A worker is no longer a home; its groups need another.
    mutating func removeHome(_ worker: WorkerID) {
        homes = homes.filter { $0.value != worker }
        guard let left = homed.removeValue(forKey: worker) else { return }
        for entry in left.entries { insertUnhomed(entry) }
    }

    mutating func removeAll(of job: JobID) {
        homes = homes.filter { $0.key.job != job }
        unhomed.removeAll(of: job)
        unsettled = unsettled.filter { $0.key.job != job }
        for worker in homed.keys { homed[worker]?.removeAll(of: job) }
    }
}
