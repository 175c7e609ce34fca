public import Identifiers
import OrderedCollections

/// What of the ledger carriers of blobs may ask; nothing here changes it.
extension Scheduler {
    /// Whether the coordinator needs a blob that it does not have.
    public func isWanted(_ blob: BlobDigest) -> Bool { ledger.wanted.contains(blob) }

    /// Whether a blob was ordered from a worker and did not come yet.
    public func isCollecting(_ blob: BlobDigest, from worker: WorkerID) -> Bool {
        ledger.collections[blob]?.worker == worker
    }
}
