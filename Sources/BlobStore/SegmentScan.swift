import FileAccess
import Hashing
import Identifiers

/// What is found in a segment's bytes.
///
/// No record is trusted: a whole one has the bytes that its digest names. After anything else the reading goes on at
/// the next mark, so a damaged part costs only the records that it touches. A whole record within the bytes of a
/// damaged blob is a blob too, because its digest is right.
struct SegmentScan {
    /// The intact records, in their order.
    private(set) var whole: [BlobRecord] = []
    /// Records with other bytes than their digests name, and the digests of these bytes.
    private(set) var damaged: [(record: BlobRecord, found: BlobDigest)] = []

    /// Reads a segment; the bytes beyond the largest segment are not read.
    init(reading file: borrowing StoreFile) throws(BlobStoreError) {
        self.init(try file.bytes(at: 0, count: min(try file.byteCount(), BlobSegment.byteCountMax)))
    }

    init(_ segment: [UInt8]) {
        var next: Int? = 0
        while let start = next, start < segment.count {
            guard let record = BlobRecord(at: start, of: segment) else {
                next = Self.mark(in: segment, from: start + 1)
                continue
            }
            let found = BlobDigest(hashing: segment.span.bytes.extracting(record.offset..<record.end))
            if found == record.digest {
                whole.append(record)
                next = record.end
            } else {
                damaged.append((record, found))
                next = Self.mark(in: segment, from: start + 1)
            }
        }
    }

    /// Where a record may begin.
    private static func mark(in segment: [UInt8], from start: Int) -> Int? {
        start < segment.count ? segment[start...].firstIndex(of: BlobRecord.mark[0]) : nil
    }
}
