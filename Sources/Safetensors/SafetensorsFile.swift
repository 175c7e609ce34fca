public import FileAccess
public import SystemPackage

/// An open safetensors file with a checked header.
///
/// Tensors are read by range and never mapped.
///
/// Reads use `pread`, because mapped pages of network file systems are up to fifty times slower, and because a file
/// that is truncated while mapped kills the process. Any number of threads may read at once. Only the files that the
/// process read last hold a descriptor. A file that is opened again must be the same object.
public final class SafetensorsFile: Sendable {
    /// Tells contents apart without reading them.
    ///
    /// The same file gives the same value until it is rewritten.
    public struct Identity: Hashable, Sendable {
        /// Bytes of the file.
        public let byteCount: Int
        /// Last modification, nanoseconds since 1970.
        public let modificationNanoseconds: Int64
        /// SHA-256 of the length field and the header, 32 bytes.
        public let headerDigest: [UInt8]
    }

    /// The path as it was given.
    public let path: FilePath
    /// Metadata and tensors.
    public let header: SafetensorsHeader
    /// The file's identity when it was opened.
    public let identity: Identity
    private let file: PooledFile

    /// Opens a file and checks its header; the data is not read.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - roots: The directories below which files may be read.
    /// - Throws: ``SafetensorsError``; no descriptor stays open.
    public init(opening path: FilePath, within roots: FileRoots = .unlimited) throws(SafetensorsError) {
        let file = try PooledFile(reading: path, within: roots)
        let status = file.status
        let bytes = try file.withFile { (file) throws(SafetensorsError) in
            try Self.headerBytes(of: file, byteCount: status.byteCount)
        }
        self.path = path
        self.header = try SafetensorsHeader(parsing: bytes, fileSize: status.byteCount, file: path)
        self.identity = Identity(
            byteCount: status.byteCount,
            modificationNanoseconds: status.modificationNanoseconds,
            headerDigest: FileDigest.sha256(of: bytes)
        )
        self.file = file
    }

    /// The SHA-256 of the length field and the header of an open file, 32 bytes, as ``Identity/headerDigest``.
    ///
    /// - Throws: ``SafetensorsError`` for a file that cannot have a header.
    public static func headerDigest(
        of file: borrowing OpenedFile<SafetensorsError>, byteCount: Int
    ) throws(SafetensorsError) -> [UInt8] {
        FileDigest.sha256(of: try headerBytes(of: file, byteCount: byteCount))
    }

    private static func headerBytes(of file: borrowing OpenFile, byteCount: Int) throws(SafetensorsError) -> [UInt8] {
        let start = try file.bytes(at: 0, count: min(byteCount, GitLFSPointer.byteCountLimit))
        let end = try SafetensorsHeader.headerEnd(of: start, fileSize: byteCount, file: file.path)
        return try file.bytes(at: 0, count: end)
    }

    /// The tensor of that name.
    ///
    /// - Throws: ``SafetensorsError/tensor(file:name:problem:)`` with ``SafetensorsError/TensorProblem/missing``.
    public func tensor(_ name: String) throws(SafetensorsError) -> TensorInfo {
        guard let tensor = header[name] else { throw .tensor(file: path, name: name, problem: .missing) }
        return tensor
    }

    /// Fills `destination` with a tensor's bytes from `byteOffset` on.
    ///
    /// - Parameters:
    ///   - name: a tensor of this file.
    ///   - byteOffset: first byte, counted from the tensor's start.
    ///   - destination: as many bytes as to be read; little-endian elements in row-major order.
    /// - Throws: ``SafetensorsError``: no such tensor or range, a failed read, or a file that has become shorter;
    ///   `destination` then holds a prefix of the bytes.
    public func read(
        _ name: String,
        at byteOffset: Int = 0,
        into destination: inout MutableRawSpan
    ) throws(SafetensorsError) {
        let range = try fileRange(of: name, at: byteOffset, count: destination.byteCount)
        let count = try read(at: range.lowerBound, into: &destination)
        guard count == range.count else {
            throw .truncated(file: path, expected: identity.byteCount, found: range.lowerBound + count)
        }
    }

    /// A tensor's bytes from `byteOffset` on as an array, for small tensors.
    ///
    /// - Throws: as ``read(_:at:into:)``.
    public func bytes(of name: String, at byteOffset: Int = 0, count: Int) throws(SafetensorsError) -> [UInt8] {
        let range = try fileRange(of: name, at: byteOffset, count: count)
        let bytes = try file.withFile { (file) throws(SafetensorsError) in
            try file.bytes(at: range.lowerBound, count: range.count)
        }
        guard bytes.count == count else {
            throw .truncated(file: path, expected: identity.byteCount, found: range.lowerBound + bytes.count)
        }
        return bytes
    }

    /// Fills `destination` with the file's bytes from `fileOffset` on, for ranges from ``fileRange(of:at:count:)``.
    ///
    /// - Throws: ``SafetensorsError/truncated(file:expected:found:)`` if the file does not hold the whole range, or the
    ///   failed call; `destination` then holds a prefix of the bytes.
    public func read(fromFileOffset fileOffset: Int, into destination: inout MutableRawSpan) throws(SafetensorsError) {
        let size = identity.byteCount
        guard fileOffset >= 0, fileOffset <= size, destination.byteCount <= size - fileOffset else {
            let (end, overflow) = max(0, fileOffset).addingReportingOverflow(destination.byteCount)
            throw .truncated(file: path, expected: overflow ? .max : end, found: size)
        }
        let expected = destination.byteCount
        let count = try read(at: fileOffset, into: &destination)
        guard count == expected else { throw .truncated(file: path, expected: size, found: fileOffset + count) }
    }

    /// The SHA-256 of a tensor's bytes, 32 bytes, read once in blocks.
    ///
    /// It finds equal captures of two layers.
    ///
    /// - Throws: as ``read(_:at:into:)``.
    public func sha256(of name: String) throws(SafetensorsError) -> [UInt8] {
        let byteCount = try tensor(name).byteCount
        let range = try fileRange(of: name, at: 0, count: byteCount)
        return try sha256(in: range)
    }

    /// The SHA-256 of the whole file, 32 bytes, read once in blocks.
    ///
    /// It covers the open file, even when its path now leads to another file.
    ///
    /// - Throws: ``SafetensorsError``; the content is then unknown.
    public func sha256() throws(SafetensorsError) -> [UInt8] {
        try sha256(in: 0..<identity.byteCount)
    }

    private func sha256(in range: Range<Int>) throws(SafetensorsError) -> [UInt8] {
        try file.withFile { (file) throws(SafetensorsError) in
            file.adviseSequential()
            return try RangeDigest.sha256(of: file, in: range, fileByteCount: identity.byteCount)
        }
    }

    private func read(at offset: Int, into destination: inout MutableRawSpan) throws(SafetensorsError) -> Int {
        try file.withFile { (file) throws(SafetensorsError) in try file.read(at: offset, into: &destination) }
    }

    /// The range of a part of a tensor, from the start of the file.
    ///
    /// - Throws: ``SafetensorsError/tensor(file:name:problem:)`` if there is no such tensor or part.
    public func fileRange(of name: String, at byteOffset: Int, count: Int) throws(SafetensorsError) -> Range<Int> {
        let tensor = try tensor(name)
        guard byteOffset >= 0, count >= 0, byteOffset <= tensor.byteCount, count <= tensor.byteCount - byteOffset else {
            let problem = SafetensorsError.TensorProblem.rangeOutside(
                start: byteOffset,
                count: count,
                byteCount: tensor.byteCount
            )
            throw .tensor(file: path, name: name, problem: problem)
        }
        let start = header.dataOffset + tensor.byteRange.lowerBound + byteOffset
        return start..<start + count
    }

    /// Asks the kernel to read a part of a tensor ahead while the caller computes.
    ///
    /// It is a hint that cannot fail.
    ///
    /// A part outside the tensor is ignored.
    public func prefetch(_ name: String, at byteOffset: Int, count: Int) {
        guard count > 0, let range = try? fileRange(of: name, at: byteOffset, count: count) else { return }
        prefetch(fileRange: range)
    }

    /// Asks the kernel to read a range of the file ahead.
    ///
    /// It is a hint that cannot fail.
    public func prefetch(fileRange: Range<Int>) {
        guard !fileRange.isEmpty, fileRange.lowerBound >= 0 else { return }
        try? file.withFile { $0.adviseWillNeed(at: fileRange.lowerBound, count: fileRange.count) }
    }

    /// Checks that size and modification time still equal those of ``identity``.
    ///
    /// - Throws: ``SafetensorsError/changed(file:)``: the data read so far may be a mixture of old and new.
    public func requireUnchanged() throws(SafetensorsError) {
        let status = try file.withFile { (file) throws(SafetensorsError) in try file.status() }
        guard status.byteCount == identity.byteCount,
            status.modificationNanoseconds == identity.modificationNanoseconds
        else { throw .changed(file: path) }
    }
}
