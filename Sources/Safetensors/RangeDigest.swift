import FileAccess
import Hashing

/// The SHA-256 of parts of files.
enum RangeDigest {
    /// The SHA-256 of a range of an open file.
    ///
    /// The file must contain the whole range.
    static func sha256(
        of file: borrowing OpenFile,
        in range: Range<Int>,
        fileByteCount: Int
    ) throws(SafetensorsError) -> [UInt8] {
        var hash = SHA256()
        let path = file.path
        let end = try file.forEachBlock(in: range) { block, _ throws(SafetensorsError) in
            // Large files take minutes, and the caller may have gone.
            guard !Task.isCancelled else { throw .interrupted(path) }
            hash.update(block)
            return true
        }
        guard end == range.upperBound else {
            throw .truncated(file: path, expected: fileByteCount, found: end)
        }
        return hash.finalize()
    }
}
