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
        /// The unit's seconds on a nominal core.
        var nominalSeconds: Double
        /// Whether it takes longer than the transfer of its outputs, so that another worker than its home may take it.
        var mayMove: Bool

        static func < (left: Entry, right: Entry) -> Bool {
            if left.jobNumber != right.jobNumber { return left.jobNumber < right.jobNumber }
            if left.rank != right.rank { return left.rank > right.rank }
            return left.reference.unit < right.reference.unit
        }
    }

    /// The entries in order; a plan may have a million units.
    private var parts = SortedParts<Entry>()

    /// The entries in order.
    var entries: FlattenSequence<[[Entry]]> { parts.elements }

    /// The entries in order, from the first one that does not stand before another.
    func entries(from entry: Entry?) -> SortedParts<Entry>.Walk { parts.elements(from: entry) }

    /// The first entry.
    var first: Entry? { parts.first }

    /// The first entry after another, which need not be in the queue.
    func first(after entry: Entry) -> Entry? { parts.first(after: entry) }

    /// Whether the queue is empty.
    var isEmpty: Bool { parts.isEmpty }

    static func == (left: ReadyQueue, right: ReadyQueue) -> Bool { left.entries.elementsEqual(right.entries) }

    /// Inserts a unit at its place.
    ///
    /// - Returns: Whether it was not in the queue.
    @discardableResult
    mutating func insert(_ entry: Entry) -> Bool { parts.insert(entry) }

    /// Inserts many units at their places; none of them may be in the queue.
    mutating func insert(contentsOf new: [Entry]) { parts.insert(contentsOf: new) }

    /// Removes a unit; does nothing when it is not in the queue.
    ///
    /// - Returns: Whether it was in the queue.
    @discardableResult
    mutating func remove(_ entry: Entry) -> Bool { parts.remove(entry) }

    /// Removes all units of a job.
    mutating func removeAll(of job: JobID) { parts.removeAll { $0.reference.job == job } }
}
