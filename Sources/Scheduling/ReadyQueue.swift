import Identifiers

/// The units that can be computed now, by falling urgency.
///
/// Jobs are in the order of their submission. Within a job, the unit with the longest path to the job's end comes
/// first. The plan's order decides ties, so the order never depends on arrival.
struct ReadyQueue: Equatable, Sendable {
    /// A unit, and the values that determine its place.
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

    /// The most entries of a part; one change moves at most so many.
    private static let partMax = 512
    /// The entries in order, in non-empty parts, because a plan may have a million units.
    private var parts: [[Entry]] = []

    /// The entries in order.
    var entries: FlattenSequence<[[Entry]]> { parts.joined() }

    /// Whether the queue is empty.
    var isEmpty: Bool { parts.isEmpty }

    static func == (left: ReadyQueue, right: ReadyQueue) -> Bool { left.entries.elementsEqual(right.entries) }

    /// Inserts a unit at its place.
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

    /// Inserts many units at their places; none of them may be in the queue.
    mutating func insert(contentsOf new: [Entry]) {
        divide((Array(entries) + new).sorted())
    }

    /// Removes a unit; does nothing when it is not in the queue.
    mutating func remove(_ entry: Entry) {
        let part = Self.position(in: parts) { $0[$0.count - 1] < entry }
        guard part < parts.count else { return }
        let place = Self.position(in: parts[part]) { $0 < entry }
        guard place < parts[part].count, parts[part][place] == entry else { return }
        parts[part].remove(at: place)
        if parts[part].isEmpty { parts.remove(at: part) }
    }

    /// Removes all units of a job.
    mutating func removeAll(of job: JobID) {
        divide(entries.filter { $0.reference.job != job })
    }

    private mutating func divide(_ entries: [Entry]) {
        parts = stride(from: 0, to: entries.count, by: Self.partMax / 2).map {
            Array(entries[$0..<min($0 + Self.partMax / 2, entries.count)])
        }
    }

    /// The first position in sorted items that does not stand before the searched item, by bisection.
    private static func position<Item>(in items: [Item], _ standsBefore: (Item) -> Bool) -> Int {
        var (low, high) = (0, items.count)
        while low < high {
            let middle = (low + high) / 2
            if standsBefore(items[middle]) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
