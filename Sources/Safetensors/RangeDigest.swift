import FileAccess
import Hashing
import SystemPackage

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
        try add(range, of: file, named: file.path, to: &hash, fileByteCount: fileByteCount)
        return hash.finalize()
    }

    /// Adds a range of an open file to a digest.
    ///
    /// - Parameters:
    ///   - range: The file must contain all of it.
    ///   - file: The file.
    ///   - path: The file's name in errors.
    ///   - hash: The digest.
    ///   - fileByteCount: The size of the file.
    ///   - look: Also gets the blocks, in their order.
    /// - Throws: ``SafetensorsError/truncated(file:expected:found:)``, ``SafetensorsError/interrupted(_:)``, or a
    ///   failed read.
    static func add(
        _ range: Range<Int>, of file: borrowing OpenFile, named path: FilePath, to hash: inout SHA256,
        fileByteCount: Int, _ look: (RawSpan) -> Void = { _ in }
    ) throws(SafetensorsError) {
        let end = try file.forEachBlock(in: range) { block, _ throws(SafetensorsError) in
            // Large files take minutes, and the caller may have gone.
            guard !Task.isCancelled else { throw .interrupted(path) }
            hash.update(block)
            look(block)
            return true
        }
        guard end == range.upperBound else {
            throw .truncated(file: path, expected: fileByteCount, found: end)
        }
    }
}
