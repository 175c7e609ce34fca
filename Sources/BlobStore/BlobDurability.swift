import Lanes
public import Logging
import Telemetry

/// Makes blobs durable at intervals, on a thread that may block.
///
/// No work waits for it: a record that names a blob does not promise its bytes, and a lost blob is computed again.
public actor BlobDurability {
    /// The most work that a power failure may cost; an fsync for each blob would cost more.
    private static let interval: Duration = .seconds(30)

    private let lane = Lane("kfacd.durability")
    private let synchronize: @Sendable () throws -> Void
    private let logger: Logger

    /// The thread.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    /// Prepares the loop.
    ///
    /// - Parameters:
    ///   - logger: Gets a warning for each failure; the next turn tries again.
    ///   - synchronize: Makes all present blobs durable.
    public init(logger: Logger, synchronize: @escaping @Sendable () throws -> Void) {
        self.logger = logger
        self.synchronize = synchronize
    }

    /// Makes blobs durable at intervals, while the task runs.
    public func run() async {
        while (try? await Task.sleep(for: Self.interval)) != nil { makeDurable() }
    }

    /// Makes all blobs durable now.
    public func makeDurable() {
        do {
            try synchronize()
        } catch {
            logger.warning("blobs could not be made durable", metadata: [LogKeys.cause: "\(error)"])
        }
    }
}
