import Crypto
public import SystemPackage

/// The SHA-256 of files and of bytes.
public enum FileDigest {
    /// Bytes of one read: large enough to stream from the disk, small enough to stay in the cache.
    static let blockByteCount = 1 << 20

    /// The SHA-256 of a regular file's content, 32 bytes.
    ///
    /// The file is read once, in blocks.
    ///
    /// - Throws: ``FileError``; the content is then unknown.
    public static func sha256(ofFileAt path: FilePath) throws(FileError) -> [UInt8] {
        let file = try OpenedFile<FileError>(reading: path, within: .unlimited)
        file.adviseSequential()
        var hash = SHA256()
        var block = [UInt8](repeating: 0, count: blockByteCount)
        var offset = 0
        while true {
            let count = try read(file, at: offset, into: &block)
            unsafe block.withUnsafeBytes { unsafe hash.update(bufferPointer: .init(rebasing: $0[..<count])) }
            offset += count
            if count < block.count { return Array(hash.finalize()) }
        }
    }

    /// The SHA-256 of bytes in memory, 32 bytes.
    public static func sha256(of bytes: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        unsafe bytes.withUnsafeBytes { unsafe hash.update(bufferPointer: $0) }
        return Array(hash.finalize())
    }

    private static func read(
        _ file: borrowing OpenedFile<FileError>,
        at offset: Int,
        into block: inout [UInt8]
    ) throws(FileError) -> Int {
        var span = block.mutableSpan
        var raw = unsafe span.mutableBytes
        return try file.read(at: offset, into: &raw)
    }
}
