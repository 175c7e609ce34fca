import Identifiers
import JobPlan
import OrderedCollections

/// The worker units that can be computed now, by the worker whose blobs they read.
///
/// Units of one group (a layer) read each other's outputs. A group gets a home when its first unit is leased. From then
/// on the home's queue holds its units, so that the blobs of a layer are in one place and need not be sent.
struct WorkQueues: Sendable {
    /// A group of a job.
    struct Group: Hashable, Sendable {
        var job: JobID
        var number: Int
    }

    /// A home whose units other workers may take, in the order in which they became homes.
    struct MovableHome: Comparable, Sendable {
        var place: RosterIndex.Place
        /// The seconds of its longest visible unit that may move.
        var longestSeconds: Double

        static func < (left: MovableHome, right: MovableHome) -> Bool { left.place < right.place }
        static func == (left: MovableHome, right: MovableHome) -> Bool { left.place == right.place }
    }

    private(set) var homes: [Group: WorkerID] = [:]
    private(set) var unhomed = ReadyQueue()
    /// The number of entries without a home by their memory; there are few sizes.
    private var unhomedMemory: [UInt64: Int] = [:]
    /// The entries of each group without a home, so that a group finds its units among a million.
    private var unsettled: [Group: Set<ReadyQueue.Entry>] = [:]
    private(set) var homed: [WorkerID: ReadyQueue] = [:]
    /// The homes in the order in which they became homes.
    private var homePlaces: [WorkerID: RosterIndex.Place] = [:]
    private var homeCount = 0
    /// The homes with entries, in that order.
    private(set) var nonEmptyHomes = SortedParts<RosterIndex.Place>()
    /// Those of them with a visible unit that another worker may take.
    private(set) var movableHomes = SortedParts<MovableHome>()
    /// The longest visible unit of each of these that another worker may take, in seconds.
    private var longestMovable: [WorkerID: Double] = [:]
    /// The first units of a home's queue that other workers may be given.
    static let visibleUnits = 16

    /// The homes whose queues have changed since this was last taken note of.
    private(set) var changedHomes: Set<WorkerID> = []
    /// Whether units without a home have come since then.
    private(set) var hasNewUnhomed = false

    /// Whether another worker may take a visible unit of a home.
    func isMovable(_ home: WorkerID) -> Bool { longestMovable[home] != nil }

    mutating func forgetChanges() {
        changedHomes.removeAll(keepingCapacity: true)
        hasNewUnhomed = false
    }

    /// All entries, in no particular order.
    var entries: [ReadyQueue.Entry] { Array(unhomed.entries) + homed.values.flatMap { Array($0.entries) } }
    var isEmpty: Bool { unhomed.isEmpty && nonEmptyHomes.isEmpty }
    /// The least memory of an entry without a home; `nil` without any.
    var leastUnhomedMemory: UInt64? { unhomedMemory.keys.min() }

    mutating func insert(_ entry: ReadyQueue.Entry) {
        if let home = home(of: entry) {
            insert(entry, atHome: home)
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
        if unhomed.insert(entry) { note(entry) }
    }

    private mutating func note(_ entry: ReadyQueue.Entry) {
        hasNewUnhomed = true
        unhomedMemory[entry.memoryBytes, default: 0] += 1
        if let group = group(of: entry) { unsettled[group, default: []].insert(entry) }
    }

    private mutating func removeUnhomed(_ entry: ReadyQueue.Entry) {
        takeUnhomed(entry)
        guard let group = group(of: entry) else { return }
        unsettled[group]?.remove(entry)
        if unsettled[group]?.isEmpty == true { unsettled[group] = nil }
    }

    private mutating func takeUnhomed(_ entry: ReadyQueue.Entry) {
        guard unhomed.remove(entry) else { return }
        let count = unhomedMemory[entry.memoryBytes, default: 0] - 1
        unhomedMemory[entry.memoryBytes] = count > 0 ? count : nil
    }

    private mutating func insert(_ entry: ReadyQueue.Entry, atHome home: WorkerID) {
        let place = homePlaces[home] ?? RosterIndex.Place(number: homeCount, worker: home)
        if homePlaces.updateValue(place, forKey: home) == nil { homeCount += 1 }
        homed[home, default: ReadyQueue()].insert(entry)
        noteChange(of: home)
    }

    mutating func remove(_ entry: ReadyQueue.Entry) {
        guard let home = home(of: entry) else { return removeUnhomed(entry) }
        homed[home]?.remove(entry)
        noteChange(of: home)
    }

    private mutating func noteChange(of home: WorkerID) {
        guard let place = homePlaces[home], let queue = homed[home] else { return }
        changedHomes.insert(home)
        if queue.isEmpty { nonEmptyHomes.remove(place) } else { nonEmptyHomes.insert(place) }
        var longest: Double?
        for entry in queue.entries.prefix(Self.visibleUnits) where entry.mayMove {
            longest = max(longest ?? 0, entry.nominalSeconds)
        }
        guard longest != longestMovable[home] else { return }
        longestMovable[home] = longest
        movableHomes.remove(MovableHome(place: place, longestSeconds: 0))
        if let longest { movableHomes.insert(MovableHome(place: place, longestSeconds: longest)) }
    }

    func home(of entry: ReadyQueue.Entry) -> WorkerID? { group(of: entry).flatMap { homes[$0] } }

    func group(of entry: ReadyQueue.Entry) -> Group? {
        entry.group.map { Group(job: entry.reference.job, number: $0) }
    }

    /// Gives a group a home, and moves its units to the home's queue.
    mutating func settle(_ group: Group, at worker: WorkerID) {
        homes[group] = worker
        for entry in unsettled.removeValue(forKey: group) ?? [] {
            takeUnhomed(entry)
            insert(entry, atHome: worker)
        }
    }

    /// A worker is no longer a home; its groups need another.
    mutating func removeHome(_ worker: WorkerID) {
        homes = homes.filter { $0.value != worker }
        guard let left = homed.removeValue(forKey: worker) else { return }
        if let place = homePlaces.removeValue(forKey: worker) {
            nonEmptyHomes.remove(place)
            movableHomes.remove(MovableHome(place: place, longestSeconds: 0))
            longestMovable[worker] = nil
        }
        for entry in left.entries { insertUnhomed(entry) }
    }

    mutating func removeAll(of job: JobID) {
        homes = homes.filter { $0.key.job != job }
        unhomed.removeAll(of: job)
        unhomedMemory = [:]
        for entry in unhomed.entries { unhomedMemory[entry.memoryBytes, default: 0] += 1 }
        unsettled = unsettled.filter { $0.key.job != job }
        for worker in Array(homed.keys) {
            homed[worker]?.removeAll(of: job)
            noteChange(of: worker)
        }
    }
}
