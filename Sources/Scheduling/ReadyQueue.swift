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

    /// Most entries of a part: what is moved by one change.
    private static let partMax = 512
    /// The entries in order, in parts that are never empty: a plan may have a million units.
    private var parts: [[Entry]] = []

    /// The entries in order.
    var entries: FlattenSequence<[[Entry]]> { parts.joined() }

    /// Whether nothing waits.
    var isEmpty: Bool { parts.isEmpty }

    static func == (left: ReadyQueue, right: ReadyQueue) -> Bool { left.entries.elementsEqual(right.entries) }

    /// Puts a unit in its place.
    mutating func insert(_ entry: Entry) {
        guard !parts.isEmpty else {
            parts = [[entry]]
            return
        }
        let part = min(Self.position(in: parts) { $0[$0.count - 1] < entry }, parts.count - 1)
        let place = Self.position(in: parts[part]) { $0 < entry }
        guard place == parts[part].count || parts[part][place] != entry else { return }
        parts[part].insert(entry, at: place)
        guard parts[part].count > Self.partMax else { return }
        let rest = Array(parts[part].suffix(Self.partMax / 2))
        parts[part].removeLast(rest.count)
        parts.insert(rest, at: part + 1)
    }

    /// Puts many units in their places, of which none is there yet.
    mutating func insert(contentsOf new: [Entry]) {
        divide((Array(entries) + new).sorted())
    }

    /// Takes a unit out; does nothing when it is not there.
    mutating func remove(_ entry: Entry) {
        let part = Self.position(in: parts) { $0[$0.count - 1] < entry }
        guard part < parts.count else { return }
        let place = Self.position(in: parts[part]) { $0 < entry }
        guard place < parts[part].count, parts[part][place] == entry else { return }
        parts[part].remove(at: place)
        if parts[part].isEmpty { parts.remove(at: part) }
    }

    /// Takes out all units of a job.
    mutating func removeAll(of job: JobID) {
        divide(entries.filter { $0.reference.job != job })
    }

    private mutating func divide(_ entries: [Entry]) {
        parts = stride(from: 0, to: entries.count, by: Self.partMax / 2).map {
            Array(entries[$0..<min($0 + Self.partMax / 2, entries.count)])
        }
    }

    /// The first place of sorted items whose item does not stand before what is looked for, by bisection.
    private static func position<Item>(in items: [Item], _ standsBefore: (Item) -> Bool) -> Int {
        var (low, high) = (0, items.count)
        while low < high {
            let middle = (low + high) / 2
            if standsBefore(items[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
