import Identifiers

/// Files whose blobs were all looked at and one of which was missing: they are not looked at again before something has
/// changed for them.
///
/// A file may be made of thousands of blobs, and every one of them that comes is an event.
struct FileWaits: Sendable {
    /// A blob that is missing, and how many blobs had been lost when all were looked at.
    private var missing: [UnitReference: (blob: BlobDigest, losses: Int)] = [:]

    /// Whether something of a job is remembered.
    var isEmpty: Bool { missing.isEmpty }

    /// A file's blobs were looked at.
    mutating func note(_ unit: UnitReference, missing blob: BlobDigest?, _ ledger: BlobLedger) {
        missing[unit] = blob.map { ($0, ledger.lossCount) }
    }

    /// Whether a file still waits for the same blob.
    func isKnownToWait(_ unit: UnitReference, _ ledger: BlobLedger) -> Bool {
        guard let (blob, losses) = missing[unit] else { return false }
        return losses == ledger.lossCount && ledger.wanted.contains(blob)
    }

    /// A job has ended.
    mutating func remove(_ job: JobID) { missing = missing.filter { $0.key.job != job } }
}
