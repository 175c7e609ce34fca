public import FileAccess
public import Hashing
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
    /// `nil` for a staged file, whose header changes at the end.
    private let prefix: WrittenPrefix?
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
        /// The tensors before this one are written.
        var firstUnwritten = 0
        /// Of tensors that other processes have written.
        var checksums: [Checksum?]
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
    ///   - isHashed: whether the content is hashed for ``finished``, which happens while it is written.
    /// - Throws: ``SafetensorsError``; nothing is left behind.
    public convenience init(
        path: FilePath,
        tensors: [TensorDescription],
        metadata: [String: String] = [:],
        isHashed: Bool = false
    ) throws(SafetensorsError) {
        let placed = try SafetensorsHeader.layOut(tensors, file: path)
        let header = try SafetensorsHeader.encode(placed, metadata: metadata, file: path)
        let partial = try PartialFile<SafetensorsError>(for: path)
        let prefix = WrittenPrefix(of: partial, isHashed: isHashed)
        self.init(path, placed, header: header, partial, prefix, staged: nil, isContinued: false)
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
        self.init(path, placed, header: header, partial, nil, staged: identity, isContinued: isContinued)
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
        _ prefix: WrittenPrefix?, staged: StagedIdentity?, isContinued: Bool
    ) {
        self.path = path
        tensors = placed
        self.header = header
        self.partial = partial
        self.prefix = prefix
        stagedIdentity = staged
        self.isContinued = isContinued
        indexOfName = Dictionary(uniqueKeysWithValues: zip(placed.map(\.name), placed.indices))
        dataOffset = header.count
        progress = Mutex(
            Progress(
                coverage: Array(repeating: ByteCoverage(), count: placed.count),
                writtenByteCounts: Array(repeating: 0, count: placed.count),
                checksums: Array(repeating: nil, count: placed.count)
            )
        )
    }

    deinit { prefix?.abandon() }

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
        let end = progress.withLock { progress in
            progress.writtenByteCounts[index] += range.count
            while progress.firstUnwritten < tensors.count,
                progress.writtenByteCounts[progress.firstUnwritten] == tensors[progress.firstUnwritten].byteCount
            {
                progress.firstUnwritten += 1
            }
            return progress.firstUnwritten
        }
        if end > 0 { prefix?.grow(to: dataOffset + tensors[end - 1].byteRange.upperBound) }
    }

    /// The first byte of a tensor in the file; `nil` for another name.
    public func fileOffset(of name: String) -> Int? {
        indexOfName[name].map { dataOffset + tensors[$0].byteRange.lowerBound }
    }

    /// Takes a tensor of a staged file as written, because another process has written it.
    ///
    /// - Parameters:
    ///   - name: one of ``tensors``.
    ///   - checksum: of the bytes that were written; ``prove()`` compares it.
    /// - Throws: ``SafetensorsError/writing(file:name:problem:)`` for an unknown name, or bytes that are written
    ///   already.
    public func noteWritten(_ name: String, _ checksum: Checksum) throws(SafetensorsError) {
        guard let index = indexOfName[name] else { throw .writing(file: path, name: name, problem: .unknown) }
        let range = try claim(count: tensors[index].byteCount, at: 0, of: index)
        progress.withLock { progress in
            progress.writtenByteCounts[index] += range.count
            progress.checksums[index] = checksum
        }
    }

    /// Reads the file once, for its digest, and compares the tensors that other processes have written with their
    /// checksums.
    ///
    /// - Returns: The names of the tensors that differ. They count as not written.
    /// - Throws: ``SafetensorsError``, with every tensor that lacks bytes.
    public func prove() throws(SafetensorsError) -> [String] {
        guard progress.withLock({ $0.finished }) == nil else { return [] }
        if let error = SafetensorsError.bundle(incompleteTensors()) { throw error }
        do throws(SafetensorsError) {
            if stagedIdentity != nil {
                let header = header
                try partial.file.write(unsafe header.span.bytes, at: 0)
            }
            // Before the file has its name, under which others may find and change it.
            let status = try partial.file.status()
            beginWriting()
            let (digest, differing) = try digests(fileByteCount: status.byteCount)
            guard differing.isEmpty else {
                progress.withLock { progress in
                    for index in differing {
                        progress.coverage[index].release(0..<tensors[index].byteCount)
                        progress.writtenByteCounts[index] = 0
                        progress.checksums[index] = nil
                    }
                }
                return differing.map { tensors[$0].name }
            }
            progress.withLock { $0.finished = Finished(path: path, digest: digest, status: status) }
            return []
        } catch {
            throw renamed(error)
        }
    }

    /// The digest of the whole file, and the tensors whose bytes are not those of their checksums.
    private func digests(fileByteCount: Int) throws(SafetensorsError) -> (digest: [UInt8], differing: [Int]) {
        let checksums = progress.withLock { $0.checksums }
        var hash = SHA256()
        var differing: [Int] = []
        func read(_ range: Range<Int>, _ look: (RawSpan) -> Void = { _ in }) throws(SafetensorsError) {
            try RangeDigest.add(
                range, of: partial.file, named: path, to: &hash, fileByteCount: fileByteCount, look)
        }
        var position = 0
        for (index, tensor) in tensors.enumerated() where checksums[index] != nil {
            let range = dataOffset + tensor.byteRange.lowerBound..<dataOffset + tensor.byteRange.upperBound
            try read(position..<range.lowerBound)
            var checksum = RunningChecksum()
            try read(range) { checksum.update($0) }
            if checksum.value != checksums[index] { differing.append(index) }
            position = range.upperBound
        }
        try read(position..<fileByteCount)
        return (hash.finalize(), differing)
    }

    /// Publishes the file: makes its content durable, renames it, and makes the name durable.
    ///
    /// After a success another call does nothing. A staged file is proved before.
    ///
    /// - Throws: ``SafetensorsError``, with every tensor that lacks bytes or that ``prove()`` finds to differ; the file
    ///   was not published, and missing bytes may still be written.
    public func finish() throws(SafetensorsError) {
        guard !progress.withLock({ $0.isFinished }) else { return }
        if stagedIdentity != nil { _ = try prove() }
        if let error = SafetensorsError.bundle(incompleteTensors()) { throw error }
        do throws(SafetensorsError) {
            try followToEnd()
            try partial.publish()
        } catch {
            throw renamed(error)
        }
        progress.withLock { $0.isFinished = true }
    }

    /// Ends the digest of a file that no other process writes.
    private func followToEnd() throws(SafetensorsError) {
        guard let prefix, progress.withLock({ $0.finished }) == nil else { return }
        // Before the file has its name, under which others may find and change it.
        let status = try partial.file.status()
        guard let digest = try prefix.digest(fileByteCount: status.byteCount) else { return }
        progress.withLock { $0.finished = Finished(path: path, digest: digest, status: status) }
    }

    /// Asks the kernel to begin writing the file to the disk, which is busy while the caller does other work.
    func beginWriting() {
        guard let byteCount = try? partial.file.byteCount() else { return }
        partial.file.beginWriting(at: 0, count: byteCount)
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
