import Identifiers
import OrderedCollections

/// The blobs that the coordinator needs and does not have, and how far each has come.
///
/// This is the only record of what is to be collected. The service keeps two other facts: who waits for bytes, and the
/// bytes that have come so far.
struct BlobWishes: Sendable {
    /// How far a blob has come.
    enum Course: Hashable, Sendable {
        /// Nobody was ordered to send it.
        case open
        /// It was ordered from a worker.
        case ordered(from: WorkerID, since: SchedulerInstant)
        /// It waits for room on the coordinator's disk, and is tried again at an instant.
        case paused(until: SchedulerInstant)
    }

    /// The blobs, in the order of the requests.
    private(set) var blobs: OrderedSet<BlobDigest> = []
    /// The blobs that were requested for a worker, which waits for the bytes.
    private(set) var awaited: OrderedSet<BlobDigest> = []
    /// The courses that are not open; they are few, while a hundred thousand blobs may be wanted.
    private var courses: OrderedDictionary<BlobDigest, Course> = [:]
    /// The blobs that a full disk has delayed, including those that were tried again since.
    private var heldUp: Set<BlobDigest> = []

    var isEmpty: Bool { blobs.isEmpty }

    /// Whether a full disk delays a blob.
    var hasHeldUp: Bool { !heldUp.isEmpty }

    func contains(_ blob: BlobDigest) -> Bool { blobs.contains(blob) }

    /// How far a blob has come; `nil` for one that is not wanted.
    func course(of blob: BlobDigest) -> Course? { blobs.contains(blob) ? courses[blob] ?? .open : nil }

    /// The number of blobs that are ordered from each worker.
    var orderCounts: [WorkerID: Int] {
        var counts: [WorkerID: Int] = [:]
        for case .ordered(let worker, _) in courses.values { counts[worker, default: 0] += 1 }
        return counts
    }

    /// The blobs that are ordered, each with its worker.
    var ordered: [(blob: BlobDigest, worker: WorkerID)] {
        courses.compactMap { blob, course in
            if case .ordered(let worker, _) = course { (blob, worker) } else { nil }
        }
    }

    /// Records that a blob is needed; with `isAwaited`, that a worker waits for it.
    mutating func add(_ blob: BlobDigest, isAwaited: Bool) {
        blobs.append(blob)
        if isAwaited { awaited.append(blob) }
    }

    /// Records that a blob is no longer needed, or has come.
    mutating func remove(_ blob: BlobDigest) {
        blobs.remove(blob)
        awaited.remove(blob)
        courses[blob] = nil
        heldUp.remove(blob)
    }

    /// Removes every blob, except those in `kept` and those of workers.
    mutating func removeAll(except kept: Set<BlobDigest>) {
        for blob in blobs.elements where !kept.contains(blob) && !awaited.contains(blob) { remove(blob) }
    }

    mutating func order(_ blob: BlobDigest, from worker: WorkerID, at now: SchedulerInstant) {
        if blobs.contains(blob) { courses[blob] = .ordered(from: worker, since: now) }
    }

    /// An order has ended without the blob; it may be ordered again.
    mutating func reopen(_ blob: BlobDigest, orderedFrom worker: WorkerID) {
        if case .ordered(worker, _) = courses[blob] { courses[blob] = nil }
    }

    /// The coordinator's disk is full.
    mutating func pause(_ blob: BlobDigest, until instant: SchedulerInstant) {
        guard blobs.contains(blob) else { return }
        courses[blob] = .paused(until: instant)
        heldUp.insert(blob)
    }

    /// Lets blobs be ordered again that have waited long enough.
    mutating func resume(at now: SchedulerInstant, timeout: Duration) {
        courses.removeAll { $0.value.end(timeout: timeout).map { $0 <= now } ?? true }
    }

    /// The next instant at which a wait ends.
    func nextInstant(timeout: Duration) -> SchedulerInstant? {
        courses.values.lazy.compactMap { $0.end(timeout: timeout) }.min()
    }
}

extension BlobWishes.Course {
    fileprivate func end(timeout: Duration) -> SchedulerInstant? {
        switch self {
        case .open: nil
        case .ordered(_, let since): since.advanced(by: timeout)
        case .paused(let until): until
        }
    }
}
