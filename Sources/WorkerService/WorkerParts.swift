import BlobStore
import Identifiers
import Logging
import Messaging

/// The parts that a worker's loops share.
struct WorkerParts: Sendable {
    let cache: BlobCache
    let connection: WorkerConnection
    let durability: BlobDurability
    let holdings: Holdings
    let uploads: BlobUploads
    let queue = WorkQueue.units()
    let collects: WorkQueue<BlobDigest>
    let visible: VisibleFiles
    let staged: StagedFiles
    let turns = FetchTurns()

    init(
        cache: BlobCache, connection: WorkerConnection, visible: VisibleFiles, staged: StagedFiles, logger: Logger
    ) {
        self.visible = visible
        self.staged = staged
        self.cache = cache
        self.connection = connection
        collects = .wishes()
        durability = BlobDurability(logger: logger) { try cache.makeDurable() }
        holdings = Holdings(cache: cache, connection: connection)
        uploads = BlobUploads(cache: cache, connection: connection, queue: collects)
    }
}
