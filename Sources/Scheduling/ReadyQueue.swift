import Identifiers

/// The units that can be computed now, the most urgent first.
///
/// Jobs stand in the order of their submission; within a job the unit with the longest way to the job's end goes
/// first, and the plan's order decides between equals, so that the order never depends on arrival.
struct ReadyQueue: Equatable, Sendable {
    /// A unit with what decides its place.
    struct Entry: Hashable, Sendable, Comparable {
        var jobNumber: Int
        var rank: Double
        var reference: UnitReference
        /// The unit's group within its job.
        var group: Int?
        /// The memory that the unit takes.
        var memoryBytes: UInt64

        static func < (left: Entry, right: Entry) -> Bool {
            if left.jobNumber != right.jobNumber { return left.jobNumber < right.jobNumber }
            if left.rank != right.rank { return left.rank > right.rank }
            return left.reference.unit < right.reference.unit
        }
    }

    private(set) var entries: [Entry] = []

    /// Puts a unit in its place.
    mutating func insert(_ entry: Entry) {
        let place = position(of: entry)
        guard place == entries.count || entries[place] != entry else { return }
        entries.insert(entry, at: place)
    }

    /// Puts many units in their places, of which none is there yet.
    mutating func insert(contentsOf new: [Entry]) {
        entries = (entries + new).sorted()
    }

    /// Takes a unit out; does nothing when it is not there.
    mutating func remove(_ entry: Entry) {
        let place = position(of: entry)
        if place < entries.count, entries[place] == entry { entries.remove(at: place) }
    }

    /// Takes out all units of a job.
    mutating func removeAll(of job: JobID) {
        entries.removeAll { $0.reference.job == job }
    }

    /// The first place whose entry does not stand before `entry`, by bisection.
    private func position(of entry: Entry) -> Int {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle] < entry { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
