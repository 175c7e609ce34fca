public import FileAccess
public import SystemPackage

/// A file with the digest of its content, and its status before it was read.
public struct ProvenFile: Sendable {
    /// The file.
    public let path: FilePath
    /// The status of the file before it was read; any change of the file changes it.
    public let status: FileStatus
    /// The SHA-256 of its content, in hexadecimal digits.
    public let digest: String

    /// Names a file.
    public init(path: FilePath, status: FileStatus, digest: String) {
        (self.path, self.status, self.digest) = (path, status, digest)
    }
}
