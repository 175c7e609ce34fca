import Messaging
import WireProtocol

/// Reports the cache's content to the coordinator, which plans with it.
struct Holdings: Sendable {
    let cache: BlobCache
    let connection: WorkerConnection

    /// Reports changes while the task runs.
    func tellChanges() async {
        for await _ in cache.changes {
            let (held, dropped) = cache.takeChanges()
            for part in dropped.parts { try? await connection.tell(.dropped(part)) }
            for part in held.parts { try? await connection.tell(.held(part)) }
        }
    }

    /// Reports all blobs to a coordinator that has just welcomed the worker.
    func tellAll() async {
        for part in cache.held.parts { try? await connection.tell(.held(part)) }
    }
}

extension Array {
    /// The elements in parts, each with as many as one message may name.
    fileprivate var parts: [[Element]] {
        stride(from: 0, to: count, by: WireLimits.blobsPerMessage).map {
            Array(self[$0..<Swift.min($0 + WireLimits.blobsPerMessage, count)])
        }
    }
}
