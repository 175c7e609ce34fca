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
        /// It was ordered from a worker, and may be ordered again at an instant.
        case ordered(from: WorkerID, until: SchedulerInstant)
        /// It waits for room on the coordinator's disk, and is tried again at an instant.
        case paused(until: SchedulerInstant)
    }

    /// A blob in the order of collection: first those that a worker waits for, then by the requests.
    struct Place: Comparable, Sendable {
        var isAwaited: Bool
        /// The number of the request.
        var number: Int
        var blob: BlobDigest

        static func < (left: Place, right: Place) -> Bool {
            left.isAwaited != right.isAwaited ? left.isAwaited : left.number < right.number
        }
    }

    /// A blob whose wait ends at an instant.
    private struct End: Comparable, Sendable {
        var instant: SchedulerInstant
        var number: Int
        var blob: BlobDigest

        static func < (left: End, right: End) -> Bool {
            left.instant != right.instant ? left.instant < right.instant : left.number < right.number
        }
    }

    /// A request.
    private struct Wish: Sendable {
        var number: Int
        /// The number of a worker's request, which waits for the bytes.
        var awaitedNumber: Int?
        var course = Course.open
        var blob: BlobDigest

        var place: Place {
            Place(isAwaited: awaitedNumber != nil, number: awaitedNumber ?? number, blob: blob)
        }
    }

    private var wishes: [BlobDigest: Wish] = [:]
    private var requestCount = 0
    private var ends = SortedParts<End>()
    /// The blobs that a full disk has delayed, including those that were tried again since.
    private var heldUp: Set<BlobDigest> = []
    /// The number of blobs that are ordered from each worker.
    private(set) var orderCounts: [WorkerID: Int] = [:]

    var isEmpty: Bool { wishes.isEmpty }

    /// The blobs, in no particular order.
    var blobs: some Collection<BlobDigest> { wishes.keys }

    /// Whether a full disk delays a blob.
    var hasHeldUp: Bool { !heldUp.isEmpty }

    func contains(_ blob: BlobDigest) -> Bool { wishes[blob] != nil }

    /// Whether a worker waits for a blob.
    func isAwaited(_ blob: BlobDigest) -> Bool { wishes[blob]?.awaitedNumber != nil }

    /// How far a blob has come; `nil` for one that is not wanted.
    func course(of blob: BlobDigest) -> Course? { wishes[blob]?.course }

    /// The place of a blob that nobody was ordered to send; `nil` for others.
    func openPlace(of blob: BlobDigest) -> Place? {
        guard let wish = wishes[blob], wish.course == .open else { return nil }
        return wish.place
    }

    /// The blobs that are ordered, each with its worker, in no particular order.
    var ordered: [(blob: BlobDigest, worker: WorkerID)] {
        wishes.values.compactMap { wish in
            if case .ordered(let worker, _) = wish.course { (wish.blob, worker) } else { nil }
        }
    }

    /// Records that a blob is needed; with `isAwaited`, that a worker waits for it.
    mutating func add(_ blob: BlobDigest, isAwaited: Bool) {
        var wish = wishes[blob] ?? Wish(number: requestCount, blob: blob)
        if isAwaited, wish.awaitedNumber == nil { wish.awaitedNumber = requestCount }
        requestCount += 1
        wishes[blob] = wish
    }

    /// Records that a blob is no longer needed, or has come.
    mutating func remove(_ blob: BlobDigest) {
        setCourse(of: blob, .open)
        wishes[blob] = nil
        heldUp.remove(blob)
    }

    mutating func order(_ blob: BlobDigest, from worker: WorkerID, until instant: SchedulerInstant) {
        setCourse(of: blob, .ordered(from: worker, until: instant))
    }

    /// An order has ended without the blob; it may be ordered again.
    mutating func reopen(_ blob: BlobDigest, orderedFrom worker: WorkerID) {
        if case .ordered(worker, _) = wishes[blob]?.course { setCourse(of: blob, .open) }
    }

    /// The coordinator's disk is full.
    mutating func pause(_ blob: BlobDigest, until instant: SchedulerInstant) {
        guard wishes[blob] != nil else { return }
        setCourse(of: blob, .paused(until: instant))
        heldUp.insert(blob)
    }

    /// A blob that has waited long enough.
    func firstEnded(at now: SchedulerInstant) -> BlobDigest? {
        ends.first.flatMap { $0.instant <= now ? $0.blob : nil }
    }

    /// Lets a blob be ordered again.
    mutating func reopen(_ blob: BlobDigest) { setCourse(of: blob, .open) }

    /// The next instant at which a wait ends.
    var nextInstant: SchedulerInstant? { ends.first?.instant }

    private mutating func setCourse(of blob: BlobDigest, _ course: Course) {
        guard let wish = wishes[blob] else { return }
        if let end = wish.course.end { ends.remove(End(instant: end, number: wish.number, blob: blob)) }
        if case .ordered(let worker, _) = wish.course {
            let count = orderCounts[worker, default: 0] - 1
            orderCounts[worker] = count > 0 ? count : nil
        }
        wishes[blob]?.course = course
        if let end = course.end { ends.insert(End(instant: end, number: wish.number, blob: blob)) }
        if case .ordered(let worker, _) = course { orderCounts[worker, default: 0] += 1 }
    }
}

extension BlobWishes.Course {
    fileprivate var end: SchedulerInstant? {
        switch self {
        case .open: nil
        case .ordered(_, let until), .paused(let until): until
        }
    }
}
