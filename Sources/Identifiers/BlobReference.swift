/// A blob: its digest and its size.
public struct BlobReference: Hashable, Sendable, Codable {
    /// SHA-256 of the bytes.
    public var digest: BlobDigest
    /// Number of bytes.
    public var byteCount: UInt64

    /// Names a blob.
    public init(digest: BlobDigest, byteCount: UInt64) {
        self.digest = digest
        self.byteCount = byteCount
    }
}
