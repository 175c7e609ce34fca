import FileAccess
import Identifiers
import Synchronization

extension BlobStore {
    /// Copies blobs out of segments that hold mostly removed ones, until the segments are within their bound.
    ///
    /// A failure ends it, and no blob is lost by that: a full disk may have no room for the copies. A later removal
    /// tries again.
    func compact() {
        while let number = contents.withLock({ $0.small.beginCompaction() }) {
            let isEmptied: Bool
            do throws(BlobStoreError) {
                try empty(number)
                isEmptied = true
            } catch {
                isEmptied = false
            }
            contents.withLock { $0.small.endCompaction(hasEmptied: isEmptied) }
            guard isEmptied else { return }
        }
    }

    /// Moves a segment's blobs to the newest one; those that cannot be read are lost.
    private func empty(_ number: Int) throws(BlobStoreError) {
        let file: StoreFile
        do throws(BlobStoreError) {
            guard let opened = try openSegment(number) else { return }
            file = opened
        } catch .lost {
            return
        }
        let (records, mayBeDurable) = contents.withLock {
            ($0.records(inSegment: number), $0.small.segments[number]?.mayBeDurable ?? false)
        }
        for record in records {
            let bytes: [UInt8]
            do throws(BlobStoreError) {
                bytes = try file.bytes(at: record.offset, count: record.byteCount)
            } catch {
                guard let fault = fault(of: error) else { throw error }
                lose(record, of: number, fault)
                continue
            }
            if let fault = record.fault(of: bytes) {
                lose(record, of: number, fault)
            } else {
                try contents.withLock { (contents: inout BlobIndex) throws(BlobStoreError) in
                    try contents.move(record, from: number, bytes)
                }
            }
        }
        guard mayBeDurable else { return }
        // The copies must last before what they were made from is gone.
        var failure: BlobStoreError?
        synchronizeSegments(&failure)
        if let failure { throw failure }
    }

    /// Loses a blob, unless it was removed since, or has another place.
    private func lose(_ record: BlobRecord, of number: Int, _ fault: BlobLoss.Fault) {
        contents.withLock { contents in
            guard contents.holds(record, inSegment: number) else { return }
            lose(record.digest, fault, in: &contents)
        }
    }
}

extension BlobRecord {
    /// What is wrong with bytes that were read in the record's place; `nil` when they are the blob.
    fileprivate func fault(of bytes: [UInt8]) -> BlobLoss.Fault? {
        guard bytes.count == byteCount else { return .size(expected: byteCount, found: bytes.count) }
        let found = BlobDigest(hashing: bytes.span.bytes)
        return found == digest ? nil : .otherBytes(found: found)
    }
}
