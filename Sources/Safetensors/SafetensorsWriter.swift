public import FileAccess
import Synchronization
public import SystemPackage

/// Writes one safetensors file.
///
/// All tensors are known at the start; their bytes come in any order.
///
/// The bytes go to a hidden file beside the final one. ``finish()`` checks that every byte was written exactly once,
/// and publishes the file. A writer that is dropped before leaves nothing behind. Any number of threads may write at
/// once.
///
/// A staged file is one into which other processes write too. It stays when its writer is dropped, and another writer
/// with the same tensors goes on with it.
public final class SafetensorsWriter: Sendable {
    /// The final path of the file.
    public let path: FilePath
    /// The tensors with their ranges.
    public let tensors: [TensorInfo]
    /// What identifies a staged file to the processes that write into it; `nil` for another file.
    public let stagedIdentity: StagedIdentity?
    /// Whether a staged file with these tensors was there already, with what was written into it.
    public let isContinued: Bool
    private let indexOfName: [String: Int]
    private let dataOffset: Int
    private let header: [UInt8]
    private let partial: PartialFile<SafetensorsError>
    private let progress: Mutex<Progress>

    /// A staged file, as another process recognises it.
    public struct StagedIdentity: Equatable, Sendable {
        /// The path until the file is finished.
        public let path: FilePath
        /// The size in bytes.
        public let byteCount: Int
        /// The SHA-256 of the header and its length, until the file is finished.
        public let headerDigest: [UInt8]
    }

    /// A finished file: what was written, whatever becomes of the file later.
    public struct Finished: Equatable, Sendable {
        /// The final path.
        public let path: FilePath
        /// The SHA-256 of the content.
        public let digest: [UInt8]
        /// The object before it got its final name; any write changes it.
        public let status: ObjectStatus
    }

    private struct Progress {
        var coverage: [ByteCoverage]
        var writtenByteCounts: [Int]
        var isFinished = false
        var finished: Finished?
    }

    /// What the file held when it was finished; nil before, and for a file that was not hashed.
    public var finished: Finished? { progress.withLock { $0.finished } }

    /// Begins a file.
    ///
    /// - Parameters:
    ///   - path: the final path; a file of that name stays until ``finish()``.
    ///   - tensors: all tensors in the order of their data; names must differ.
    ///   - metadata: the `__metadata__` strings.
    /// - Throws: ``SafetensorsError``; nothing is left behind.
    public convenience init(
        path: FilePath,
        tensors: [TensorDescription],
        metadata: [String: String] = [:]
    ) throws(SafetensorsError) {
        let placed = try SafetensorsHeader.layOut(tensors, file: path)
        let header = try SafetensorsHeader.encode(placed, metadata: metadata, file: path)
        let partial = try PartialFile<SafetensorsError>(for: path)
        self.init(path, placed, header: header, partial, staged: nil, isContinued: false)
        try partial.file.resize(to: header.count + (placed.last?.byteRange.upperBound ?? 0))
        try partial.file.write(unsafe header.span.bytes, at: 0)
    }

    /// Begins a staged file, or goes on with the one that is there.
    ///
    /// - Parameters:
    ///   - path: the final path.
    ///   - tensors: all tensors in the order of their data; names must differ.
    ///   - metadata: the `__metadata__` strings that the file gets at the end.
    ///   - draft: the strings until then, of at least the same length.
    /// - Throws: ``SafetensorsError``.
    public convenience init(
        staged path: FilePath,
        tensors: [TensorDescription],
        metadata: [String: String],
        draft: [String: String]
    ) throws(SafetensorsError) {
        let placed = try SafetensorsHeader.layOut(tensors, file: path)
        let drafted = try SafetensorsHeader.encode(placed, metadata: draft, file: path)
        let header = try SafetensorsHeader.encode(
            placed, metadata: metadata, byteCountMin: drafted.count, file: path)
        guard header.count == drafted.count else {
            throw .header(file: path, problem: .tooLarge(byteCount: UInt64(header.count), limit: drafted.count))
        }
        let partial = try PartialFile<SafetensorsError>(staged: path)
        let byteCount = header.count + (placed.last?.byteRange.upperBound ?? 0)
        var isContinued = false
        if try partial.file.byteCount() == byteCount {
            let found = try partial.file.bytes(at: 0, count: header.count)
            isContinued = found == drafted || found == header
        }
        let identity = StagedIdentity(
            path: partial.file.path, byteCount: byteCount, headerDigest: FileDigest.sha256(of: drafted))
        self.init(path, placed, header: header, partial, staged: identity, isContinued: isContinued)
        if !isContinued {
            try partial.file.resize(to: 0)
            try partial.file.resize(to: byteCount)
            partial.file.reserve()
        }
        // A file that was ready before a crash has its last header already.
        try partial.file.write(unsafe drafted.span.bytes, at: 0)
    }

    private init(
        _ path: FilePath, _ placed: [TensorInfo], header: [UInt8], _ partial: PartialFile<SafetensorsError>,
        staged: StagedIdentity?, isContinued: Bool
    ) {
        self.path = path
        tensors = placed
        self.header = header
        self.partial = partial
        stagedIdentity = staged
        self.isContinued = isContinued
        indexOfName = Dictionary(uniqueKeysWithValues: zip(placed.map(\.name), placed.indices))
        dataOffset = header.count
        progress = Mutex(
            Progress(
                coverage: Array(repeating: ByteCoverage(), count: placed.count),
                writtenByteCounts: Array(repeating: 0, count: placed.count)
            )
        )
    }

    /// Writes a part of a tensor.
    ///
    /// - Parameters:
    ///   - bytes: little-endian elements in row-major order; not kept.
    ///   - name: one of ``tensors``.
    ///   - byteOffset: first byte, counted from the tensor's start.
    /// - Throws: ``SafetensorsError``: bytes outside the tensor are not written; after a failed write, such as on a
    ///   full disk, the same part may be tried again.
    public func write(_ bytes: RawSpan, to name: String, at byteOffset: Int = 0) throws(SafetensorsError) {
        guard let index = indexOfName[name] else { throw .writing(file: path, name: name, problem: .unknown) }
        let range = try claim(count: bytes.byteCount, at: byteOffset, of: index)
        do throws(SafetensorsError) {
            try partial.file.write(bytes, at: dataOffset + tensors[index].byteRange.lowerBound + byteOffset)
        } catch {
            progress.withLock { $0.coverage[index].release(range) }
            throw renamed(error)
        }
        progress.withLock { $0.writtenByteCounts[index] += range.count }
    }

    /// The first byte of a tensor in the file; `nil` for another name.
    public func fileOffset(of name: String) -> Int? {
        indexOfName[name].map { dataOffset + tensors[$0].byteRange.lowerBound }
    }

    /// Takes bytes of a tensor of a staged file as written, because another process has written them.
    ///
    /// - Parameters:
    ///   - name: one of ``tensors``.
    ///   - byteOffset: first byte, counted from the tensor's start.
    ///   - count: the number of bytes; nil for all.
    /// - Throws: ``SafetensorsError/writing(file:name:problem:)`` for an unknown name, or bytes that are written
    ///   already or lie outside.
    public func noteWritten(_ name: String, at byteOffset: Int = 0, count: Int? = nil) throws(SafetensorsError) {
        guard let index = indexOfName[name] else { throw .writing(file: path, name: name, problem: .unknown) }
        let range = try claim(count: count ?? tensors[index].byteCount, at: byteOffset, of: index)
        progress.withLock { $0.writtenByteCounts[index] += range.count }
    }

    /// Reads bytes of a tensor back, whoever wrote them.
    ///
    /// - Parameters:
    ///   - name: one of ``tensors``.
    ///   - byteOffset: first byte, counted from the tensor's start.
    ///   - destination: filled whole.
    /// - Throws: ``SafetensorsError``.
    public func read(
        _ name: String, at byteOffset: Int, into destination: inout MutableRawSpan
    ) throws(SafetensorsError) {
        guard let index = indexOfName[name] else { throw .writing(file: path, name: name, problem: .unknown) }
        let start = dataOffset + tensors[index].byteRange.lowerBound + byteOffset
        let wanted = destination.byteCount
        let found = try partial.file.read(at: start, into: &destination)
        guard found == wanted else { throw .truncated(file: path, expected: start + wanted, found: start + found) }
    }

    /// Publishes the file: makes its content durable, renames it, and makes the name durable.
    ///
    /// After a success another call does nothing.
    ///
    /// - Parameter isHashed: whether the content is hashed for ``finished``; that of a staged file always is.
    /// - Throws: ``SafetensorsError``, with every tensor that lacks bytes; the file was not published, and missing
    ///   bytes may still be written.
    public func finish(isHashed: Bool = false) throws(SafetensorsError) {
        guard !progress.withLock({ $0.isFinished }) else { return }
        if let error = SafetensorsError.bundle(incompleteTensors()) { throw error }
        do throws(SafetensorsError) {
            if stagedIdentity != nil {
                let header = header
                try partial.file.write(unsafe header.span.bytes, at: 0)
            }
            if isHashed || stagedIdentity != nil { try hash() }
            try partial.publish()
        } catch {
            throw renamed(error)
        }
        progress.withLock { $0.isFinished = true }
    }

    /// Asks the kernel to begin writing the file to the disk, which is busy while the caller does other work.
    func beginWriting() {
        guard let byteCount = try? partial.file.byteCount() else { return }
        partial.file.beginWriting(at: 0, count: byteCount)
    }

    /// Hashes the content before the file has its name, under which others may find and change it.
    private func hash() throws(SafetensorsError) {
        let status = try partial.file.status()
        beginWriting()
        let digest = try RangeDigest.sha256(
            of: partial.file, in: 0..<status.byteCount, fileByteCount: status.byteCount)
        progress.withLock { $0.finished = Finished(path: path, digest: digest, status: status) }
    }

    /// The errors that prevent finishing: one for each tensor that lacks bytes.
    func incompleteTensors() -> [SafetensorsError] {
        let written = progress.withLock { $0.writtenByteCounts }
        return zip(tensors, written).filter { $0.byteCount != $1 }.map { tensor, count in
            let problem = SafetensorsError.WritingProblem.incomplete(written: count, expected: tensor.byteCount)
            return .writing(file: path, name: tensor.name, problem: problem)
        }
    }

    private func claim(count: Int, at byteOffset: Int, of index: Int) throws(SafetensorsError) -> Range<Int> {
        let tensor = tensors[index]
        guard byteOffset >= 0, byteOffset <= tensor.byteCount, count <= tensor.byteCount - byteOffset else {
            let problem = SafetensorsError.WritingProblem.rangeOutside(
                start: byteOffset,
                count: count,
                byteCount: tensor.byteCount
            )
            throw .writing(file: path, name: tensor.name, problem: problem)
        }
        let range = byteOffset..<byteOffset + count
        let problem: SafetensorsError.WritingProblem? = progress.withLock { progress in
            if progress.isFinished { return .finished }
            return progress.coverage[index].claim(range) ? nil : .writtenTwice(start: byteOffset, count: count)
        }
        if let problem { throw .writing(file: path, name: tensor.name, problem: problem) }
        return range
    }

    /// Replaces the hidden file's name in an error by the name that the user gave.
    private func renamed(_ error: SafetensorsError) -> SafetensorsError {
        switch error {
        case .file(.callFailed(_, let call, let code)): .file(.callFailed(file: path, call: call, code: code))
        case .file(.diskFull(_, let call)): .file(.diskFull(file: path, call: call))
        default: error
        }
    }
}
