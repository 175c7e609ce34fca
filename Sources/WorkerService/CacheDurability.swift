import Lanes
import Logging
import Telemetry

/// Makes the cache's blobs durable at intervals, on a thread that may block.
actor CacheDurability {
    /// The most work that a power failure may cost; it can be computed again, so an fsync for each blob would not pay.
    private static let interval: Duration = .seconds(30)

    private let lane = Lane("kfacd.cache")
    private let cache: BlobCache
    private let logger: Logger

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(cache: BlobCache, logger: Logger) {
        self.cache = cache
        self.logger = logger
    }

    /// Makes blobs durable at intervals, while the task runs.
    func run() async {
        while (try? await Task.sleep(for: Self.interval)) != nil { makeDurable() }
    }

    /// Makes all blobs durable now.
    func makeDurable() {
        do {
            try cache.makeDurable()
        } catch {
            logger.warning("blobs could not be made durable", metadata: [LogKeys.cause: "\(error)"])
        }
    }
}
