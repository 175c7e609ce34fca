import FileAccess
import Glibc
import Identifiers
import SystemPackage

extension BlobIndex {
    /// Counts the blobs in the segments of an earlier process.
    ///
    /// A blob that has a place already keeps it, and its second record is dead. A segment that cannot be read is set
    /// aside, and a damaged record of a blob that is nowhere else is a loss.
    mutating func restoreSegments(_ lost: inout [BlobLoss]) throws(BlobStoreError) {
        var damaged: [BlobDigest: BlobLoss] = [:]
        for number in try layout.segmentNumbers(&lost) {
            let path = small.path(of: number)
            do throws(BlobStoreError) {
                let file = try StoreFile(opening: path, flags: O_RDONLY)
                let byteCount = try file.byteCount()
                let scan = try SegmentScan(reading: file)
                restore(number, byteCount: byteCount, scan.whole)
                for (record, found) in scan.damaged {
                    damaged[record.digest] = BlobLoss(record.digest, at: path, .otherBytes(found: found))
                }
            } catch .file(.callFailed(_, let call, let code)) {
                guard let fault = BlobLoss.Fault(call: call, code: code), StoreDirectory.setAside(path) != nil else {
                    throw .file(.callFailed(file: path, call: call, code: code))
                }
                small.skip(number)
                lost.append(BlobLoss(nil, at: path, fault))
            }
        }
        lost += damaged.values.filter { loss in loss.digest.map { blobs[$0] == nil } ?? true }
        small.resume()
    }

    private mutating func restore(_ number: Int, byteCount: Int, _ records: [BlobRecord]) {
        var liveByteCount = 0
        for record in records where blobs[record.digest] == nil {
            insert(record.digest, byteCount: record.byteCount, at: .segment(number, offset: record.offset))
            liveByteCount += record.recordByteCount
        }
        small.restore(number, byteCount: byteCount, liveByteCount: liveByteCount)
    }
}
