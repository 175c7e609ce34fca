import Identifiers

/// The blobs that the coordinator wants and that are not on their way yet, in the order in which it asked.
///
/// Bound: ``limit``; the coordinator asks one worker for no more at a time.
actor CollectQueue {
    /// Most blobs that wait.
    static let limit = 64

    private var digests: [BlobDigest] = []
    private var underWay: Set<BlobDigest> = []
    private var waiters: [CheckedContinuation<BlobDigest?, Never>] = []
    private var isClosed = false

    /// Puts a blob behind the others; one that waits or is on its way already is passed over.
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

    /// Ends what ``next()`` gave, whether or not the blob was sent.
    func end(_ digest: BlobDigest) {
        underWay.remove(digest)
    }

    /// Forgets what waits: a coordinator that was restarted asks anew for what it still wants.
    func removeAll() {
        digests.removeAll()
    }

    /// Ends the waiting; what was queued is forgotten.
    func close() {
        isClosed = true
        digests.removeAll()
        for waiter in waiters { waiter.resume(returning: nil) }
        waiters.removeAll()
    }
}
