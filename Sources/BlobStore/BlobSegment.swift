/// The account of a segment: a file of records, to which only the newest one's end is added.
struct BlobSegment: Equatable {
    /// A larger one would hold more room for removed blobs; in smaller ones the names cost more.
    static let byteCountMax = 1 << 20

    /// The size of the file.
    var byteCount = 0
    /// The bytes of the records whose blobs the store still holds.
    var liveByteCount = 0
    /// The first bytes, as far as they are known to survive a power failure.
    var durableByteCount = 0
    /// Whether some bytes may survive one: this process or an earlier one may have made them durable.
    var mayBeDurable = false
}
