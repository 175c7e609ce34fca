import Identifiers

/// The files that wait for a missing blob.
///
/// A file can need thousands of blobs, and the arrival of each is an event. So a file's blobs are checked again only
/// when its missing blob is no longer wanted, or when a blob was lost.
struct FileWaits: Sendable {
    /// The missing blob of a file, and the count of lost blobs at the last check.
    private var missing: [UnitReference: (blob: BlobDigest, losses: Int)] = [:]

    /// Whether no file is remembered.
    var isEmpty: Bool { missing.isEmpty }

    /// Notes the result of a check of a file's blobs.
    mutating func note(_ unit: UnitReference, missing blob: BlobDigest?, _ ledger: BlobLedger) {
        missing[unit] = blob.map { ($0, ledger.lossCount) }
    }

    /// Whether a file still waits for the same blob.
    func isKnownToWait(_ unit: UnitReference, _ ledger: BlobLedger) -> Bool {
        guard let (blob, losses) = missing[unit] else { return false }
        return losses == ledger.lossCount && ledger.wishes.contains(blob)
    }

    /// Forgets a job that has ended.
    mutating func remove(_ job: JobID) { missing = missing.filter { $0.key.job != job } }
}
