import Identifiers

/// Lets one lane at a time fetch a blob; other lanes that need the same blob wait for it.
actor FetchTurns {
    private var waiters: [BlobDigest: [CheckedContinuation<Void, Never>]] = [:]

    /// Whether the caller must fetch the blob and then call ``end(_:)``; false after another lane has ended its turn.
    func begin(_ digest: BlobDigest) async -> Bool {
        guard waiters[digest] != nil else {
            waiters[digest] = []
            return true
        }
        await withCheckedContinuation { waiters[digest, default: []].append($0) }
        return false
    }

    /// Ends a turn, whether or not the blob was fetched.
    func end(_ digest: BlobDigest) {
        for waiter in waiters.removeValue(forKey: digest) ?? [] { waiter.resume() }
    }
}
