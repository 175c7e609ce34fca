import FileAccess
import Identifiers
import SystemPackage

/// What a store holds, and where.
struct BlobIndex {
    /// The place of a blob's bytes.
    enum Place: Equatable {
        /// A file that a power failure may still damage.
        case pending
        /// A file that survives a power failure.
        case durable
        /// A part of a segment.
        case segment(Int, offset: Int)
    }

    /// A blob that the store holds.
    struct Blob: Equatable {
        let byteCount: Int
        var place: Place
    }

    private(set) var blobs: [BlobDigest: Blob] = [:]
    /// The blobs at ``Place/pending``.
    private(set) var pending: Set<BlobDigest> = []
    private(set) var byteCount = 0
    var small: SmallBlobs
    /// The number of directories made in `durable/`, and how many of the first ones have durable names.
    var directoriesMade = 0
    var directoriesDurable = 0
    let layout: BlobStoreLayout

    init(_ layout: BlobStoreLayout) {
        self.layout = layout
        small = SmallBlobs(below: layout.smallRoot)
    }

    mutating func insert(_ digest: BlobDigest, byteCount: Int, at place: Place) {
        blobs[digest] = Blob(byteCount: byteCount, place: place)
        self.byteCount += byteCount
        if place == .pending { pending.insert(digest) }
    }

    /// Forgets a blob; a segment is removed with its last one, a file is not.
    mutating func remove(_ digest: BlobDigest) {
        guard let blob = blobs.removeValue(forKey: digest) else { return }
        byteCount -= blob.byteCount
        pending.remove(digest)
        if case .segment(let number, _) = blob.place { small.forget(number, blobByteCount: blob.byteCount) }
    }

    /// Notes that a blob's file has moved to the durable ones.
    mutating func promote(_ digest: BlobDigest) {
        blobs[digest]?.place = .durable
        pending.remove(digest)
    }

    /// Writes a small blob behind the others of its segment.
    mutating func append(_ record: RecordBuffer, as digest: BlobDigest) throws(BlobStoreError) {
        let (segment, offset) = try small.append(record)
        insert(digest, byteCount: record.blobByteCount, at: .segment(segment, offset: offset))
    }

    /// Copies a blob to the newest segment, if it still is where `record` says.
    mutating func move(_ record: BlobRecord, from number: Int, _ bytes: [UInt8]) throws(BlobStoreError) {
        guard holds(record, inSegment: number) else { return }
        var copy = RecordBuffer()
        copy.append(bytes.span.bytes)
        copy.seal(as: record.digest)
        let (segment, offset) = try small.append(copy)
        small.forget(number, blobByteCount: record.byteCount)
        blobs[record.digest]?.place = .segment(segment, offset: offset)
    }

    /// Whether a record is the place of its blob.
    func holds(_ record: BlobRecord, inSegment number: Int) -> Bool {
        blobs[record.digest]?.place == .segment(number, offset: record.offset)
    }

    /// The blobs in a segment, from a byte on, in their order.
    func records(inSegment number: Int, from start: Int = 0) -> [BlobRecord] {
        let records: [BlobRecord] = blobs.compactMap { digest, blob in
            guard case .segment(number, let offset) = blob.place, offset >= start else { return nil }
            return BlobRecord(digest, offset: offset, byteCount: blob.byteCount)
        }
        return records.sorted { $0.offset < $1.offset }
    }

    /// The file with a blob's bytes.
    func path(of digest: BlobDigest, at place: Place) -> FilePath {
        switch place {
        case .pending: layout.pending(digest)
        case .durable: layout.durable(digest)
        case .segment(let number, _): small.path(of: number)
        }
    }
}
