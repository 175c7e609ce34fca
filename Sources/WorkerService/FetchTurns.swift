import Identifiers

/// Lets one lane at a time fetch a blob: two lanes that need the same one wait for the same bytes.
actor FetchTurns {
    private var waiters: [BlobDigest: [CheckedContinuation<Void, Never>]] = [:]

    /// Whether the caller is to fetch the blob, and then to call ``end(_:)``; false after somebody else has ended.
    func begin(_ digest: BlobDigest) async -> Bool {
        guard waiters[digest] != nil else {
            waiters[digest] = []
            return true
        }
        await withCheckedContinuation { waiters[digest, default: []].append($0) }
        return false
    }

    /// Ends a turn, whether or not the blob came.
    func end(_ digest: BlobDigest) {
        for waiter in waiters.removeValue(forKey: digest) ?? [] { waiter.resume() }
    }
}
