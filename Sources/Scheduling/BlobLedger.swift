import Identifiers
import JobPlan
import OrderedCollections

/// Which workers hold which blobs, and which blobs are on their way to the coordinator.
///
/// The ledger is volatile: a restart forgets it, and workers then offer again what they hold.
struct BlobLedger: Sendable {
    /// The workers that have each blob, in the order in which that became known.
    private(set) var holders: [BlobDigest: [WorkerID]] = [:]
    /// The blobs of each worker.
    private(set) var holdings: [WorkerID: [BlobDigest: UInt64]] = [:]
    /// The blobs in the coordinator's store.
    private(set) var stored: Set<BlobDigest> = []
    /// The blobs that the coordinator needs and does not have.
    private(set) var wishes = BlobWishes()
    /// Those of them that nobody was ordered to send.
    private(set) var open = OpenCollections()
    /// For each blob that is not stored: how often its collection failed, because the worker did not have it or had
    /// other bytes.
    ///
    /// Bound: blobs that running jobs want. It is emptied when no job runs.
    private(set) var failedCollections: [BlobDigest: Int] = [:]
    /// The number of blobs that have become unavailable so far.
    private(set) var lossCount = 0

    /// Blobs of lost workers, and the instant until which the workers may return with them; the earliest first.
    private var absences: [(until: SchedulerInstant, blobs: Set<BlobDigest>)] = []

    /// Whether the store or any worker has a blob.
    func isAvailable(_ blob: BlobDigest) -> Bool { stored.contains(blob) || holders[blob] != nil }

    /// Whether a worker has a blob.
    func holds(_ worker: WorkerID, _ blob: BlobDigest) -> Bool { holdings[worker]?[blob] != nil }

    // MARK: - Workers' stores

    mutating func add(_ blob: BlobReference, heldBy worker: WorkerID) {
        guard holdings[worker, default: [:]].updateValue(blob.byteCount, forKey: blob.digest) == nil else { return }
        holders[blob.digest, default: []].append(worker)
        change(blob.digest) { _ in }
    }

    mutating func remove(_ blob: BlobDigest, heldBy worker: WorkerID) {
        guard holdings[worker]?.removeValue(forKey: blob) != nil else { return }
        holders[blob]?.removeAll { $0 == worker }
        if holders[blob]?.isEmpty == true {
            holders[blob] = nil
            lossCount += 1
        }
        change(blob) { $0.reopen(blob, orderedFrom: worker) }
    }

    /// Forgets all blobs of a worker.
    ///
    /// If the worker may return with them, expects them until that instant.
    mutating func removeAll(heldBy worker: WorkerID, mayReturnUntil instant: SchedulerInstant?) {
        let blobs = holdings[worker] ?? [:]
        for blob in blobs.keys { remove(blob, heldBy: worker) }
        if let instant { expect(blobs.keys, until: instant) }
        holdings[worker] = nil
    }

    /// Expects blobs of an absent worker until an instant.
    mutating func expect(_ blobs: some Sequence<BlobDigest>, until instant: SchedulerInstant) {
        let blobs = Set(blobs)
        if !blobs.isEmpty { absences.append((instant, blobs)) }
    }

    /// Whether a blob that nobody has now may still be offered.
    func mayReturn(_ blob: BlobDigest) -> Bool { absences.contains { $0.blobs.contains(blob) } }

    // MARK: - The coordinator's store

    mutating func store(_ blob: BlobDigest) {
        stored.insert(blob)
        failedCollections[blob] = nil
        change(blob) { $0.remove(blob) }
    }

    mutating func unstore(_ blob: BlobDigest) {
        if stored.remove(blob) != nil { lossCount += 1 }
    }

    mutating func clearStore() {
        stored.removeAll()
        failedCollections.removeAll()
        lossCount += 1
    }

    /// Removes all blobs from the store that are not in `kept`, and returns them.
    mutating func unstoreAll(except kept: Set<BlobDigest>) -> [BlobDigest] {
        let unneeded = stored.subtracting(kept)
        guard !unneeded.isEmpty else { return [] }
        stored.subtract(unneeded)
        lossCount += 1
        return unneeded.sorted()
    }

    /// Records that the coordinator needs a blob; with `isAwaited`, that a worker waits for it.
    mutating func want(_ blob: BlobDigest, isAwaited: Bool = false) {
        if !stored.contains(blob) { change(blob) { $0.add(blob, isAwaited: isAwaited) } }
    }

    /// Records that a blob is no longer wanted.
    mutating func forget(_ blob: BlobDigest) {
        change(blob) { $0.remove(blob) }
    }

    /// Forgets every request, except those in `kept` and those of workers.
    mutating func forgetWishes(except kept: Set<BlobDigest>) {
        for blob in Array(wishes.blobs) where !kept.contains(blob) && !wishes.isAwaited(blob) { forget(blob) }
    }

    /// Notes that a blob was ordered from a worker, and may be ordered again at an instant.
    mutating func begin(_ blob: BlobDigest, from worker: WorkerID, until instant: SchedulerInstant) {
        change(blob) { $0.order(blob, from: worker, until: instant) }
    }

    /// The next blob to order, and its least busy holder, or the first of several; `nil` when none has room.
    ///
    /// First come the blobs that a lane waits for; files can wait.
    mutating func nextCollection(limit: Int) -> (blob: BlobDigest, worker: WorkerID)? {
        let counts = wishes.orderCounts
        guard let blob = open.next(hasRoom: { counts[$0, default: 0] < limit }),
            let worker = holders[blob]?.min(by: { counts[$0, default: 0] < counts[$1, default: 0] })
        else { return nil }
        return (blob, worker)
    }

    /// Records a failed collection: the worker does not have the blob, or has other bytes.
    mutating func failCollection(of blob: BlobDigest, from worker: WorkerID) {
        remove(blob, heldBy: worker)
        change(blob) { $0.reopen(blob, orderedFrom: worker) }
        failedCollections[blob, default: 0] += 1
    }

    mutating func pause(_ blob: BlobDigest, until instant: SchedulerInstant) {
        change(blob) { $0.pause(blob, until: instant) }
    }

    /// Lets blobs that have waited long enough be collected again.
    mutating func resume(at now: SchedulerInstant) {
        absences.removeAll { $0.until <= now }
        while let blob = wishes.firstEnded(at: now) { change(blob) { $0.reopen(blob) } }
    }

    /// Changes how far a blob has come, or who holds it; the open collections follow.
    private mutating func change(_ blob: BlobDigest, _ change: (inout BlobWishes) -> Void) {
        if case .ordered(let worker, _) = wishes.course(of: blob) { open.noteRoom(of: worker) }
        change(&wishes)
        open.note(blob, wishes.openPlace(of: blob), heldBy: holders[blob] ?? [])
    }

    /// The next instant at which a wait of this ledger ends.
    var nextInstant: SchedulerInstant? {
        [wishes.nextInstant, absences.lazy.map(\.until).min()].compactMap { $0 }.min()
    }

    /// The bytes of these blobs that a worker does not have.
    func missingBytes(of blobs: [BlobReference], at worker: WorkerID) -> UInt64 {
        blobs.reduce(0) { holds(worker, $1.digest) ? $0 : $0.addingReportingOverflow($1.byteCount).partialValue }
    }
}
