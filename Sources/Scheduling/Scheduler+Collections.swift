public import Identifiers
import OrderedCollections

/// Questions about the ledger from the carriers of blobs; nothing here changes it.
extension Scheduler {
    /// Whether the coordinator needs a blob that it does not have.
    public func isWanted(_ blob: BlobDigest) -> Bool { ledger.wanted.contains(blob) }

    /// Whether a blob was ordered from a worker and has not arrived.
    public func isCollecting(_ blob: BlobDigest, from worker: WorkerID) -> Bool {
        ledger.collections[blob]?.worker == worker
    }
}
