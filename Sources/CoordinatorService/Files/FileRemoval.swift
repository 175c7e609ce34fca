import BlobStore
import Identifiers
import Lanes
import Logging
import Publication
import SystemPackage
import Telemetry

/// Removes what jobs leave, on a thread that may wait for the disk.
///
/// Whoever asks waits, so that what is told afterwards holds; a failure costs room and is logged.
actor FileRemoval {
    private let lane = Lane("kfacd.removal")
    private let store: BlobStore
    private let logger: Logger

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    init(store: BlobStore, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    /// Removes the files of a job that did not succeed.
    func discard(_ output: OutputDirectory) {
        guard let kept = output.discard() else { return }
        logger.warning("what was computed and could not be published is kept", metadata: ["directory": "\(kept)"])
    }

    /// Removes the staging directory of a job whose files are published, with what they replaced.
    func removeStaging(of output: OutputDirectory) {
        let left = output.removeStaging()
        guard !left.isEmpty else { return }
        let names = left.prefix(5).map(\.string).joined(separator: ", ")
        logger.warning(
            "files in the place of the new ones could not be removed, or are of no job; they are kept",
            metadata: ["files": "\(names)\(left.count > 5 ? " and \(left.count - 5) more" : "")"])
    }

    /// Removes what a job left whose end is durable, unless another job has the output.
    func removeRemains(of output: OutputDirectory, hasSucceeded: Bool) {
        let kept = output.removeRemains(hasSucceeded: hasSucceeded)
        guard let first = kept.first else { return }
        logger.warning(
            "files of a job that has ended are kept",
            metadata: ["files": "\(first)\(kept.count > 1 ? " and \(kept.count - 1) more" : "")"])
    }

    /// Removes blobs that no running job needs.
    func remove(_ blobs: [BlobDigest]) {
        for blob in blobs { attempt { try store.remove(blob) } }
    }

    /// Removes all blobs.
    func clearStore() { attempt { try store.removeAll(except: []) } }

    private func attempt(_ remove: () throws -> Void) {
        do {
            try remove()
        } catch {
            logger.warning("blobs could not be removed", metadata: [LogKeys.cause: "\(error)"])
        }
    }
}
