import FileAccess
import Identifiers
import Synchronization
import SystemPackage

extension BlobStore {
    /// Copies blobs out of segments that hold mostly removed ones, until the segments are within their bound.
    ///
    /// A failure ends it, and no blob is lost by that: a full disk may have no room for the copies. A later removal tries
    /// again.
    func compact() {
        while let number = contents.withLock({ $0.small.beginCompaction() }) {
            let isEmptied = (try? empty(number)) == true
            contents.withLock { $0.small.endCompaction(hasEmptied: isEmptied) }
            guard isEmptied else { return }
        }
    }

    /// Moves a segment's blobs to the newest one; those that cannot be read are lost.
    ///
    /// - Returns: Whether the segment can be removed.
    private func empty(_ number: Int) throws(BlobStoreError) -> Bool {
        let segment: [UInt8]
        do throws(BlobStoreError) {
            guard let file = try openSegment(number) else { return true }
            segment = try file.bytes(at: 0, count: min(try file.byteCount(), BlobSegment.byteCountMax))
        } catch .lost {
            return true
        }
        let mayBeDurable = contents.withLock { $0.small.segments[number]?.mayBeDurable ?? false }
        for record in SegmentScan(segment).whole {
            try contents.withLock { (contents: inout BlobIndex) throws(BlobStoreError) in
                try contents.move(record, from: number, of: segment)
            }
        }
        // What is left has no intact record, which a look at each notices.
        for digest in contents.withLock({ $0.digests(inSegment: number) }) {
            do throws(BlobStoreError) { _ = try verify(digest) } catch {
                guard error.lostBlob != nil else { throw error }
            }
        }
        if mayBeDurable {
            // The copies must last before what they were made from is gone.
            var failure: BlobStoreError?
            synchronizeSegments(&failure)
            if let failure { throw failure }
        }
        return true
    }
}
