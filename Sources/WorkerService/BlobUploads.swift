import Identifiers
import Lanes
import Messaging
import WireProtocol
import ZeroMQ

/// Sends the blobs that the coordinator collects, straight from their files.
struct BlobUploads: Sendable {
    /// The number of uploads at once; with two, one uses the connection while the other waits for its confirmation.
    static let countMax = 2

    let cache: BlobCache
    let connection: WorkerConnection
    let queue: WorkQueue<BlobDigest>
    private let reader: BlobReader

    init(cache: BlobCache, connection: WorkerConnection, queue: WorkQueue<BlobDigest>) {
        self.cache = cache
        self.connection = connection
        self.queue = queue
        reader = BlobReader(cache: cache)
    }

    /// Handles a collect order of the coordinator.
    func collect(_ digest: BlobDigest) async {
        cache.touch(digest)
        guard !queue.add(digest) else { return }
        await fail(digest, "more than \(queue.limit) blobs were asked for at once")
    }

    /// Sends blobs until no more are wanted.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<Self.countMax {
                group.addTask {
                    while let digest = await queue.next() {
                        await send(digest)
                        queue.end(digest)
                    }
                }
            }
        }
    }

    private func send(_ digest: BlobDigest) async {
        guard let blob = cache.pin(digest) else {
            await fail(digest, "the worker does not hold it")
            return
        }
        do {
            // The coordinator checks the bytes against the name when it has them all.
            try await connection.upload(blob) { try await reader.frame(digest, $0) }
        } catch {
            await fail(digest, "\(error)")
        }
        cache.unpin(digest)
    }

    private func fail(_ digest: BlobDigest, _ message: String) async {
        try? await connection.tell(.collectFailure(digest, message: message))
    }
}

/// Reads blobs on a thread that may block.
private actor BlobReader {
    private let lane = Lane("kfacd.uploads")
    private let cache: BlobCache

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(cache: BlobCache) {
        self.cache = cache
    }

    func frame(_ digest: BlobDigest, _ range: Range<Int>) throws -> Frame {
        var buffer = try PayloadBuffer(byteCount: range.count)
        try buffer.withMutableBytes { bytes throws in
            try cache.read(digest, at: range.lowerBound, into: &bytes)
        }
        return Frame(buffer)
    }
}
