import Identifiers

/// A blob within a segment.
///
/// A record is a mark of 4 bytes, the blob's size in 32 bits (least significant byte first), its digest, and its bytes.
struct BlobRecord: Equatable {
    /// The blob.
    let digest: BlobDigest
    /// The offset of the blob's bytes in the segment.
    let offset: Int
    /// The size of the blob.
    let byteCount: Int

    /// Larger blobs are files: they fill blocks of the file system, and a name is a small part of their cost.
    static let blobByteCountMax = 4096
    /// The bytes before those of the blob.
    static let headerByteCount = mark.count + sizeByteCount + BlobDigest.byteCount

    /// No text has these bytes, and neither zeros nor equal bytes look like them.
    static let mark: [UInt8] = [0x9E, 0x6B, 0x66, 0x62]
    private static let sizeByteCount = 4

    init(_ digest: BlobDigest, offset: Int, byteCount: Int) {
        (self.digest, self.offset, self.byteCount) = (digest, offset, byteCount)
    }

    /// The record that begins at `start`; `nil` when none begins there, or a part of it is missing.
    ///
    /// Its bytes are not compared with its digest.
    init?(at start: Int, of segment: [UInt8]) {
        let offset = start + Self.headerByteCount
        guard offset <= segment.count, segment[start..<start + Self.mark.count].elementsEqual(Self.mark) else {
            return nil
        }
        let sizeStart = start + Self.mark.count
        let digestStart = sizeStart + Self.sizeByteCount
        let byteCount = segment[sizeStart..<digestStart].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard byteCount <= min(Self.blobByteCountMax, segment.count - offset),
            let digest = BlobDigest(bytes: segment[digestStart..<offset])
        else { return nil }
        self.init(digest, offset: offset, byteCount: byteCount)
    }

    /// The offset after the record.
    var end: Int { offset + byteCount }

    /// The size of the whole record.
    var recordByteCount: Int { Self.headerByteCount + byteCount }

    /// The record's bytes before those of the blob.
    static func header(of digest: BlobDigest, byteCount: Int) -> [UInt8] {
        mark + (0..<sizeByteCount).map { UInt8(truncatingIfNeeded: byteCount >> (8 * $0)) } + digest.bytes
    }
}

/// The bytes of a record whose blob arrives in parts.
///
/// There is room for the header in front, so that one call writes both.
struct RecordBuffer {
    /// The record; its header is zeros until ``seal(as:)``.
    private(set) var bytes = [UInt8](repeating: 0, count: BlobRecord.headerByteCount)

    /// The size of the blob so far.
    var blobByteCount: Int { bytes.count - BlobRecord.headerByteCount }

    mutating func append(_ part: RawSpan) {
        part.withUnsafeBytes { bytes.append(contentsOf: $0) }
    }

    mutating func seal(as digest: BlobDigest) {
        bytes.replaceSubrange(
            ..<BlobRecord.headerByteCount, with: BlobRecord.header(of: digest, byteCount: blobByteCount))
    }
}
