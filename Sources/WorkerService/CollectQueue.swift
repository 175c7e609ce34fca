import Identifiers

/// The blobs that the coordinator wants and that are not being sent yet, in the order of its orders.
///
/// Bound: ``limit``. The coordinator asks one worker for no more at a time.
actor CollectQueue {
    /// The most blobs that wait.
    static let limit = 64

    private var digests: [BlobDigest] = []
    private var underWay: Set<BlobDigest> = []
    private var waiters: [CheckedContinuation<BlobDigest?, Never>] = []
    private var isClosed = false

    /// Adds a blob at the end; a blob that waits or is being sent already is ignored.
    ///
    /// - Returns: Whether there was room.
    func add(_ digest: BlobDigest) -> Bool {
        guard !isClosed, !underWay.contains(digest), !digests.contains(digest) else { return true }
        if !waiters.isEmpty {
            underWay.insert(digest)
            waiters.removeFirst().resume(returning: digest)
            return true
        }
        guard digests.count < Self.limit else { return false }
        digests.append(digest)
        return true
    }

    /// Waits for the next blob; `nil` when no more will come.
    func next() async -> BlobDigest? {
        if !digests.isEmpty {
            let digest = digests.removeFirst()
            underWay.insert(digest)
            return digest
        }
        guard !isClosed else { return nil }
        return await withCheckedContinuation { waiters.append($0) }
    }

    /// Marks a blob from ``next()`` as done, whether or not it was sent.
    func end(_ digest: BlobDigest) {
        underWay.remove(digest)
    }

    /// Forgets the blobs that wait; a restarted coordinator asks again for those that it still wants.
    func removeAll() {
        digests.removeAll()
    }

    /// Ends all waits and forgets the blobs that wait.
    func close() {
        isClosed = true
        digests.removeAll()
        for waiter in waiters { waiter.resume(returning: nil) }
        waiters.removeAll()
    }
}
