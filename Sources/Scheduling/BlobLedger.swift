import Identifiers
import JobPlan
import OrderedCollections

/// Who has which blob, and which are on their way to the coordinator.
///
/// Volatile: a restart forgets it, and workers offer anew what they hold.
struct BlobLedger: Sendable {
    /// A blob on its way to the coordinator.
    struct Collection: Sendable {
        var worker: WorkerID
        var since: SchedulerInstant
    }

    /// Workers that have a blob, in the order in which that became known.
    private(set) var holders: [BlobDigest: [WorkerID]] = [:]
    /// What each worker has.
    private(set) var holdings: [WorkerID: [BlobDigest: UInt64]] = [:]
    /// What lies in the coordinator's store.
    private(set) var stored: Set<BlobDigest> = []
    /// What the coordinator needs and does not have, in the order of the wishes.
    private(set) var wanted: OrderedSet<BlobDigest> = []
    /// Those of them that were asked for on behalf of a worker, which waits for the bytes.
    private(set) var awaited: OrderedSet<BlobDigest> = []
    /// Those of them that were ordered from a worker.
    private(set) var collections: OrderedDictionary<BlobDigest, Collection> = [:]
    /// Those of them that wait for room on the coordinator's disk, until when.
    private(set) var paused: [BlobDigest: SchedulerInstant] = [:]
    /// Those of them that a full disk held up, tried again meanwhile or not.
    private var heldUp: Set<BlobDigest> = []
    /// How often the collection of blobs that are not stored has failed because their worker did not have them, or not
    /// as they were.
    ///
    /// Bound: blobs that running jobs want; emptied when none runs.
    private(set) var failedCollections: [BlobDigest: Int] = [:]
    /// How many blobs have become unavailable so far.
    private(set) var lossCount = 0

    /// Blobs that workers had which were lost, and until when they may come back with them; the earliest first.
    private var absences: [(until: SchedulerInstant, blobs: Set<BlobDigest>)] = []

    /// Whether anybody has a blob.
    func isAvailable(_ blob: BlobDigest) -> Bool { stored.contains(blob) || holders[blob] != nil }

    /// Whether a full disk holds up something that is wanted.
    var hasHeldUp: Bool { !heldUp.isEmpty }

    /// Whether a worker has a blob.
    func holds(_ worker: WorkerID, _ blob: BlobDigest) -> Bool { holdings[worker]?[blob] != nil }

    // MARK: - Workers' stores

    mutating func add(_ blob: BlobReference, heldBy worker: WorkerID) {
        guard holdings[worker, default: [:]].updateValue(blob.byteCount, forKey: blob.digest) == nil else { return }
        holders[blob.digest, default: []].append(worker)
    }

    mutating func remove(_ blob: BlobDigest, heldBy worker: WorkerID) {
        guard holdings[worker]?.removeValue(forKey: blob) != nil else { return }
        holders[blob]?.removeAll { $0 == worker }
        if holders[blob]?.isEmpty == true {
            holders[blob] = nil
            lossCount += 1
        }
        if collections[blob]?.worker == worker { collections[blob] = nil }
    }

    /// Forgets all that a worker had; when it may come back with it, until then.
    mutating func removeAll(heldBy worker: WorkerID, mayReturnUntil instant: SchedulerInstant?) {
        let blobs = holdings[worker] ?? [:]
        for blob in blobs.keys { remove(blob, heldBy: worker) }
        if let instant { expect(blobs.keys, until: instant) }
        holdings[worker] = nil
        collections.removeAll { $0.value.worker == worker }
    }

    /// Somebody who is not here has these blobs, and may be here in a moment.
    mutating func expect(_ blobs: some Sequence<BlobDigest>, until instant: SchedulerInstant) {
        let blobs = Set(blobs)
        if !blobs.isEmpty { absences.append((instant, blobs)) }
    }

    /// Whether a blob that nobody has may still be offered.
    func mayReturn(_ blob: BlobDigest) -> Bool { absences.contains { $0.blobs.contains(blob) } }

    // MARK: - The coordinator's store

    mutating func store(_ blob: BlobDigest) {
        stored.insert(blob)
        failedCollections[blob] = nil
        forget(blob)
    }

    mutating func unstore(_ blob: BlobDigest) {
        if stored.remove(blob) != nil { lossCount += 1 }
    }

    mutating func clearStore() {
        stored.removeAll()
        failedCollections.removeAll()
        lossCount += 1
    }

    /// Takes out of the store what is not in `kept`, and says what that was.
    mutating func unstoreAll(except kept: Set<BlobDigest>) -> [BlobDigest] {
        let unneeded = stored.subtracting(kept)
        guard !unneeded.isEmpty else { return [] }
        stored.subtract(unneeded)
        lossCount += 1
        return unneeded.sorted()
    }

    /// Notes that the coordinator needs a blob; for a worker when `isAwaited`.
    mutating func want(_ blob: BlobDigest, isAwaited: Bool = false) {
        guard !stored.contains(blob) else { return }
        wanted.append(blob)
        if isAwaited { awaited.append(blob) }
    }

    /// A blob is no longer wanted.
    mutating func forget(_ blob: BlobDigest) {
        wanted.remove(blob)
        awaited.remove(blob)
        collections[blob] = nil
        paused[blob] = nil
        heldUp.remove(blob)
    }

    /// Forgets every wish that is not in `kept` and not a worker's.
    mutating func forgetWishes(except kept: Set<BlobDigest>) {
        for blob in wanted.elements where !kept.contains(blob) && !awaited.contains(blob) { forget(blob) }
    }

    mutating func begin(_ blob: BlobDigest, from worker: WorkerID, at now: SchedulerInstant) {
        collections[blob] = Collection(worker: worker, since: now)
    }

    /// A collection did not succeed: the worker does not have the blob, or not as it was.
    mutating func failCollection(of blob: BlobDigest, from worker: WorkerID) {
        remove(blob, heldBy: worker)
        collections[blob] = nil
        failedCollections[blob, default: 0] += 1
    }

    mutating func pause(_ blob: BlobDigest, until instant: SchedulerInstant) {
        collections[blob] = nil
        guard wanted.contains(blob) else { return }
        paused[blob] = instant
        heldUp.insert(blob)
    }

    /// Lets what has waited long enough be collected again.
    mutating func resume(at now: SchedulerInstant, collectionTimeout: Duration) {
        absences.removeAll { $0.until <= now }
        paused = paused.filter { $0.value > now }
        collections.removeAll { $0.value.since.advanced(by: collectionTimeout) <= now }
    }

    /// The next instant at which something here has waited long enough.
    func nextInstant(collectionTimeout: Duration) -> SchedulerInstant? {
        let timeouts = collections.values.lazy.map { $0.since.advanced(by: collectionTimeout) }
        return [timeouts.min(), paused.values.min(), absences.lazy.map(\.until).min()].compactMap { $0 }.min()
    }

    /// Bytes of these blobs that a worker does not have.
    func missingBytes(of blobs: [BlobReference], at worker: WorkerID) -> UInt64 {
        blobs.reduce(0) { holds(worker, $1.digest) ? $0 : $0.addingReportingOverflow($1.byteCount).partialValue }
    }
}
