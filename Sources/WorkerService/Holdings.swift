import Messaging
import WireProtocol

/// Reports the cache's content to the coordinator, which plans with it.
struct Holdings: Sendable {
    let cache: BlobCache
    let connection: WorkerConnection

    /// Reports changes while the task runs.
    ///
    /// A change is reported behind the results that were reported before it: what was evicted after its report must not
    /// seem to be there.
    func tellChanges() async {
        for await _ in cache.changes {
            let (held, dropped) = cache.takeChanges()
            for part in dropped.parts { await tell(.dropped(part), part.count) }
            for part in held.parts { await tell(.held(part), part.count) }
            // Many units end in this time, and each changes the cache.
            try? await Task.sleep(for: Self.pause)
        }
    }

    private static let pause: Duration = .milliseconds(10)

    private func tell(_ change: WorkerMessage, _ count: Int) async {
        guard count > WorkerConnection.joinedItemsMax else {
            try? await connection.report(change, canWait: true)
            return
        }
        try? await connection.sendReports()
        try? await connection.tell(change)
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
