import Messaging
import WireProtocol

/// Keeps the coordinator informed of what the cache holds: it plans with it.
struct Holdings: Sendable {
    let cache: BlobCache
    let connection: WorkerConnection

    /// Tells what came and went, as long as the task runs.
    func tellChanges() async {
        for await _ in cache.changes {
            let (held, dropped) = cache.takeChanges()
            for part in dropped.parts { try? await connection.tell(.dropped(part)) }
            for part in held.parts { try? await connection.tell(.held(part)) }
        }
    }

    /// Tells all that is there, to a coordinator that has just greeted back.
    func tellAll() async {
        for part in cache.held.parts { try? await connection.tell(.held(part)) }
    }
}

extension Array {
    /// The elements in parts of as many as one message may name.
    fileprivate var parts: [[Element]] {
        stride(from: 0, to: count, by: WireLimits.blobsPerMessage).map {
            Array(self[$0..<Swift.min($0 + WireLimits.blobsPerMessage, count)])
        }
    }
}
