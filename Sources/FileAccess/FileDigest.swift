import Hashing
public import SystemPackage

/// The SHA-256 of files and of bytes.
public enum FileDigest {
    /// The SHA-256 of a regular file's content, 32 bytes.
    ///
    /// The file is read once, in blocks.
    ///
    /// - Throws: ``FileError``; the content is then unknown.
    public static func sha256(ofFileAt path: FilePath) throws(FileError) -> [UInt8] {
        let file = try OpenedFile<FileError>(reading: path, within: .unlimited)
        file.adviseSequential()
        var hash = SHA256()
        _ = try file.forEachBlock { block, _ throws(FileError) in
            hash.update(block)
            return true
        }
        return hash.finalize()
    }

    /// The SHA-256 of bytes in memory, 32 bytes.
    public static func sha256(of bytes: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        hash.update(bytes)
        return hash.finalize()
    }
}
