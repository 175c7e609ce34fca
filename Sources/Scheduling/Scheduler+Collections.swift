public import Identifiers
import OrderedCollections

/// Questions about the ledger from the carriers of blobs; nothing here changes it.
extension Scheduler {
    /// Whether the coordinator needs a blob that it does not have.
    public func isWanted(_ blob: BlobDigest) -> Bool { ledger.wishes.contains(blob) }

    /// Whether a blob was ordered from a worker and has not arrived.
    public func isCollecting(_ blob: BlobDigest, from worker: WorkerID) -> Bool {
        if case .ordered(worker, _) = ledger.wishes.course(of: blob) { true } else { false }
    }
}
