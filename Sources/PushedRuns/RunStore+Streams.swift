import FileAccess
import Identifiers
public import JobFiles
import Synchronization
import SystemPackage

/// A file of sums whose rows were streamed; it is written range by range when all rows have come.
///
/// Until it has its name, a crash or a failure leaves nothing of it.
public final class StreamedFile: Sendable {
    /// The end of the name that it has while its digest is computed.
    static let suffix = ".collected"

    let at: RunPlace
    let path: FilePath
    private let writer: PartialsWriter

    init(at: RunPlace, in run: FilePath, _ draft: PartialsDraft, _ metadata: PartialsMetadata) throws(RunStoreError) {
        self.at = at
        path = run.appending("\(at.place.rank)-\(at.place.sequence)\(Self.suffix)")
        do throws(JobFileError) {
            writer = try PartialsWriter(path: path, entries: draft.entries, metadata: metadata)
        } catch {
            throw Self.failure(error, at)
        }
    }

    /// Writes a range of a sum into each of its tensors.
    ///
    /// - Parameters:
    ///   - bytes: The range, fp64.
    ///   - sum: One of the draft's sums.
    ///   - offset: The first byte of the range.
    /// - Throws: ``RunStoreError/file(_:)`` or ``RunStoreError/refused(_:reason:)``; the file cannot be finished.
    public func write(_ bytes: RawSpan, to sum: PartialsDraft.Sum, at offset: UInt64) throws(RunStoreError) {
        do throws(JobFileError) {
            for name in sum.names { try writer.write(bytes, to: name, at: Int(offset)) }
        } catch {
            throw Self.failure(error, at)
        }
    }

    /// Makes the bytes durable.
    func finish() throws(RunStoreError) {
        do throws(JobFileError) { try writer.finish() } catch { throw Self.failure(error, at) }
    }

    private static func failure(_ error: JobFileError, _ at: RunPlace) -> RunStoreError {
        error.files.first.map(RunStoreError.file) ?? .refused(at, reason: "\(error)")
    }
}

/// Files whose rows workers sum.
extension RunStore {
    /// Reserves a place for a file whose rows will be streamed.
    ///
    /// Bytes of a file that never became whole are removed.
    ///
    /// - Parameters:
    ///   - at: Run, rank and sequence.
    ///   - byteCount: The most bytes of the file.
    ///   - sender: Who streams, for people.
    ///   - now: Seconds since 1970.
    /// - Returns: Whether the place is free; false when it has a whole file already.
    /// - Throws: ``RunStoreError``; what is there stays.
    public func beginStream(
        at: RunPlace, byteCount: UInt64, from sender: String, at now: Double
    ) throws(RunStoreError) -> Bool {
        try requireValid(at)
        let (known, stream) = noteOffer(at: at, at: now)
        if known?.isWhole == true { return false }
        if let stream { throw .streaming(at, sender: stream.sender) }
        try requireRoom(for: byteCount, at: at, present: 0, replacing: known?.content.byteCount)
        do throws(FileError) {
            let run = try directory(of: at.run, at: now)
            if let known { drop(at.place, known.content.digest, of: run) }
        } catch {
            forgetEmpty(at.run)
            throw .file(error)
        }
        state.withLock { state in
            state.runs[at.run]?.parts[at.place] = nil
            state.runs[at.run]?.streams[at.place] = StoredRun.Streamed(byteCount: byteCount, sender: sender)
        }
        return true
    }

    /// Notes that a stream lives.
    public func noteStream(at: RunPlace, at now: Double) {
        state.withLock { $0.runs[at.run]?.lastActivity = now }
    }

    /// Frees the place of a stream that ended.
    public func endStream(at: RunPlace) {
        state.withLock { _ = $0.runs[at.run]?.streams.removeValue(forKey: at.place) }
        forgetEmpty(at.run)
    }

    /// Begins the file of a stream whose rows have all come.
    ///
    /// - Parameters:
    ///   - at: The place.
    ///   - draft: The sums.
    ///   - metadata: The metadata with the counts.
    /// - Returns: The file, empty.
    /// - Throws: ``RunStoreError``; nothing is left.
    public func beginFile(
        at: RunPlace, _ draft: PartialsDraft, _ metadata: PartialsMetadata
    ) throws(RunStoreError) -> StreamedFile {
        let run = state.withLock { $0.runs[at.run] }
        guard let run, run.streams[at.place] != nil else { throw .removedMeanwhile(at) }
        return try StreamedFile(at: at, in: run.directory, draft, metadata)
    }

    /// Makes a file durable whose sums are all written, checks it, and gives it its name.
    ///
    /// - Parameters:
    ///   - file: The file; it cannot be used afterwards.
    ///   - now: Seconds since 1970.
    /// - Returns: The bytes of the file.
    /// - Throws: ``RunStoreError``; nothing is left, and the place stays reserved.
    public func finish(_ file: StreamedFile, at now: Double) throws(RunStoreError) -> UInt64 {
        let at = file.at
        guard let run = state.withLock({ $0.runs[at.run] }), let stream = run.streams[at.place] else {
            throw .removedMeanwhile(at)
        }
        try file.finish()
        let content: BlobReference
        do {
            try requirePartials(of: at, at: file.path)
            let digest = BlobDigest(sha256: try FileDigest.sha256(ofFileAt: file.path))
            guard let size = FileStatus(of: file.path)?.byteCount else { throw RunStoreError.removedMeanwhile(at) }
            content = BlobReference(digest: digest, byteCount: size)
            let record = PushRecord(sender: stream.sender, byteCount: size, beganAt: now)
            try record.write(to: run.path(at.place, digest, .record))
            try Directories.rename(file.path, to: run.path(at.place, digest, .whole))
            try Directories.synchronize(run.directory)
        } catch {
            try? Directories.remove(file.path)
            switch error {
            case let error as RunStoreError: throw error
            case let error as FileError: throw .file(error)
            case let error as FileAccessError: throw .file(.access(error))
            default: throw .refused(at, reason: "\(error)")
            }
        }
        state.withLock { state in
            guard state.runs[at.run]?.streams.removeValue(forKey: at.place) != nil else { return }
            state.runs[at.run]?.parts[at.place] = StoredRun.Part(
                content: content, arrived: content.byteCount, isWhole: true, sender: stream.sender)
            state.runs[at.run]?.lastActivity = now
        }
        return content.byteCount
    }
}
