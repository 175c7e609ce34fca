import BlobStore
import FileAccess
import Identifiers
import JobJournal
import Lanes
import Logging
import Publication
import SystemPackage
import Telemetry

/// Removes the remains of jobs; it has a thread that may wait for the disk.
///
/// Callers wait, so that what they report afterwards is true. A failure costs room and is logged.
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
        logger.warning("files that could not be published are kept", metadata: ["directory": "\(kept)"])
    }

    /// Removes the staging directory of a published job, with the files that the publication replaced.
    func removeStaging(of output: OutputDirectory) {
        let left = output.removeStaging()
        guard !left.isEmpty else { return }
        let names = left.prefix(5).map(\.string).joined(separator: ", ")
        logger.warning(
            "old files could not be removed, or belong to no job; they are kept",
            metadata: ["files": "\(names)\(left.count > 5 ? " and \(left.count - 5) more" : "")"])
    }

    /// Removes the remains of lost jobs, unless another job has the output.
    ///
    /// Only the output of a lost job is known.
    func removeRemains(ofLost jobs: [LostJob], of owner: ClaimOwner, _ roots: FileRoots) {
        for job in jobs {
            guard let path = job.output else { continue }
            let output = OutputDirectory(
                path: FilePath(path), job: job.id, owner: owner, overwrites: false, roots: roots)
            removeRemains(of: output, hasSucceeded: false)
        }
    }

    /// Removes the remains of a job whose end is durable, unless another job has the output.
    func removeRemains(of output: OutputDirectory, hasSucceeded: Bool) {
        let kept = output.removeRemains(hasSucceeded: hasSucceeded)
        guard let first = kept.first else { return }
        logger.warning(
            "files of a job that has ended are kept",
            metadata: ["files": "\(first)\(kept.count > 1 ? " and \(kept.count - 1) more" : "")"])
    }

    /// Removes blobs that no running job needs; if the process is ending, the next process removes the rest.
    func remove(_ blobs: [BlobDigest]) {
        for blob in blobs {
            guard !Task.isCancelled else { return }
            attempt { try store.remove(blob) }
        }
    }

    /// Removes all blobs in the same way as ``remove(_:)``.
    func clearStore() { remove(store.digests.sorted()) }

    private func attempt(_ remove: () throws -> Void) {
        do {
            try remove()
        } catch {
            logger.warning("blobs could not be removed", metadata: [LogKeys.cause: "\(error)"])
        }
    }
}
