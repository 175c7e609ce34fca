import Crypto
import FileAccess

/// The SHA-256 of parts of files.
enum RangeDigest {
    /// Bytes of one read: large enough to stream from the disk, small enough to stay in the cache.
    private static let blockByteCount = 1 << 20

    /// The SHA-256 of a range of an open file.
    ///
    /// The file must contain the whole range.
    static func sha256(
        of file: borrowing OpenFile,
        in range: Range<Int>,
        fileByteCount: Int
    ) throws(SafetensorsError) -> [UInt8] {
        var hash = SHA256()
        var block = [UInt8](repeating: 0, count: blockByteCount)
        var offset = range.lowerBound
        while offset < range.upperBound {
            // Large files take minutes, and the caller may have gone.
            guard !Task.isCancelled else { throw .interrupted(file.path) }
            let wanted = min(block.count, range.upperBound - offset)
            var span = block.mutableSpan
            var raw = unsafe span.mutableBytes
            let count = min(wanted, try file.read(at: offset, into: &raw))
            guard count == wanted else {
                throw .truncated(file: file.path, expected: fileByteCount, found: offset + count)
            }
            unsafe block.withUnsafeBytes { unsafe hash.update(bufferPointer: .init(rebasing: $0[..<count])) }
            offset += count
        }
        return Array(hash.finalize())
    }
}
