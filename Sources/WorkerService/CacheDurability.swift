import Lanes
import Logging
import Telemetry

/// Brings the cache's blobs safely to the disk from time to time, on a thread where blocking harms nobody.
actor CacheDurability {
    /// How much work a power failure may cost: it is all computed again, so an fsync a blob would not pay.
    private static let interval: Duration = .seconds(30)

    private let lane = Lane("kfacd.cache")
    private let cache: BlobCache
    private let logger: Logger

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(cache: BlobCache, logger: Logger) {
        self.cache = cache
        self.logger = logger
    }

    /// Makes blobs durable again and again, as long as the task runs.
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
