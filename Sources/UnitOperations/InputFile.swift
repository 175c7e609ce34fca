public import Identifiers

/// A file that a job reads, with the properties that identify its content.
public struct InputFile: Hashable, Sendable, Codable {
    /// Absolute path, links resolved.
    public var path: String
    /// Size in bytes.
    public var byteCount: UInt64
    /// Modification time in nanoseconds since 1970.
    public var modificationTime: Int64
    /// SHA-256 of the safetensors header with its length.
    public var headerDigest: BlobDigest
    /// The role of the file: `base`, `checkpoint of "x"`, `capture of "x"`, `factors of "x"`.
    public var role: String

    /// Describes a file.
    public init(path: String, byteCount: UInt64, modificationTime: Int64, headerDigest: BlobDigest, role: String) {
        self.path = path
        self.byteCount = byteCount
        self.modificationTime = modificationTime
        self.headerDigest = headerDigest
        self.role = role
    }
}
