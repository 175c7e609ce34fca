public import FileAccess
public import SystemPackage

/// A file whose content is known, and as what it was seen before it was read.
public struct ProvenFile: Sendable {
    /// The file.
    public let path: FilePath
    /// What lay there: whoever touches it changes that.
    public let status: FileStatus
    /// The SHA-256 of its content, in hexadecimal digits.
    public let digest: String

    /// Names a file.
    public init(path: FilePath, status: FileStatus, digest: String) {
        (self.path, self.status, self.digest) = (path, status, digest)
    }
}
