import FileAccess
import Identifiers
import JobFiles
import Safetensors
import Synchronization
import SystemPackage

/// Files that arrive.
extension RunStore {
    /// What a client has to send of a part.
    public enum Opening {
        /// Nothing: the same bytes are there, and they are whole.
        case whole
        /// The bytes after those that are there.
        case incoming(IncomingPart)
    }

    /// Begins a part, or goes on with it.
    ///
    /// Bytes of another content that never became whole are replaced.
    ///
    /// - Parameters:
    ///   - part: The announced part.
    ///   - sender: Who pushes, for people.
    ///   - now: Seconds since 1970.
    /// - Returns: What the client has to send.
    /// - Throws: ``RunStoreError``; what is there stays.
    public func begin(_ part: PushedPart, from sender: String, at now: Double) throws(RunStoreError) -> Opening {
        try requireValid(part.at)
        let (known, stream) = noteOffer(at: part.at, at: now)
        if let stream { throw .streaming(part.at, sender: stream.sender) }
        if let known, known.isWhole {
            guard known.content == part.content else {
                throw .occupied(part.at, by: known.content, sender: known.sender)
            }
            return .whole
        }
        let isSame = known?.content == part.content
        let present = isSame ? known?.arrived ?? 0 : 0
        try requireRoom(
            for: part.content.byteCount, at: part.at, present: present, replacing: known?.content.byteCount)
        do throws(FileError) {
            let run = try directory(of: part.run, at: now)
            if let known, !isSame { drop(part.place, known.content.digest, of: run) }
            if !isSame {
                let record = PushRecord(sender: sender, byteCount: part.content.byteCount, beganAt: now)
                try record.write(to: run.path(part.place, part.content.digest, .record))
            }
            let incoming = try IncomingPart(part, at: run.path(part.place, part.content.digest, .incoming))
            state.withLock { state in
                guard !isSame else { return }
                state.runs[part.run]?.parts[part.place] = StoredRun.Part(
                    content: part.content, arrived: 0, isWhole: false, sender: sender)
            }
            return .incoming(incoming)
        } catch {
            forgetEmpty(part.run)
            throw .file(error)
        }
    }

    /// Notes a sign of life of a run, and returns what is at the place.
    func noteOffer(at: RunPlace, at now: Double) -> (part: StoredRun.Part?, stream: StoredRun.Streamed?) {
        state.withLock { state in
            state.runs[at.run]?.lastActivity = now
            return (state.runs[at.run]?.parts[at.place], state.runs[at.run]?.streams[at.place])
        }
    }

    /// Refuses what can be no place of a run.
    func requireValid(_ at: RunPlace) throws(RunStoreError) {
        guard at.run.isValid else { throw .invalidName(at.run) }
        guard (0..<PartialsPlace.numberMax).contains(at.place.rank),
            (0..<PartialsPlace.numberMax).contains(at.place.sequence)
        else { throw .invalidPlace(at) }
    }

    /// Refuses a file for which there is no room, before anything is written.
    ///
    /// - Parameters:
    ///   - byteCount: The bytes of the whole file.
    ///   - at: Its place.
    ///   - present: The bytes of it that are there.
    ///   - replaced: The announced bytes of what it replaces or is already counted as; nil if the place is free.
    /// - Throws: ``RunStoreError``.
    func requireRoom(
        for byteCount: UInt64, at: RunPlace, present: UInt64, replacing replaced: UInt64?
    ) throws(RunStoreError) {
        let (used, arrived, runs, files, all) = state.withLock { state in
            (
                state.announcedBytes, state.arrivedBytes, state.runs.count, state.runs[at.run]?.fileCount,
                state.runs.values.reduce(0) { $0 + $1.fileCount }
            )
        }
        if files == nil, runs >= Self.runsMax { throw .tooManyRuns(limit: Self.runsMax) }
        if replaced == nil, let files, files >= Self.partsMax { throw .tooManyFiles(at.run, limit: Self.partsMax) }
        if replaced == nil, all >= Self.allPartsMax { throw .tooManyFilesOfAll(limit: Self.allPartsMax) }
        guard let (limit, free) = limit(held: arrived) else { return }
        let others = used - (replaced ?? 0)
        guard others <= limit, byteCount <= limit - others else {
            throw .overQuota(at, needed: byteCount, used: others, limit: limit)
        }
        let needed = byteCount - min(present, byteCount)
        guard needed <= free else { throw .noRoom(at, needed: needed, free: free) }
    }

    /// The run, whose directory exists.
    func directory(of run: RunName, at now: Double) throws(FileError) -> StoredRun {
        if let known = state.withLock({ $0.runs[run] }) { return known }
        let new = StoredRun(directory: directory.appending(run.rawValue), beganAt: now, lastActivity: now)
        do throws(FileAccessError) {
            try Directories.create(new.directory, mode: 0o755, isDurable: true)
        } catch {
            throw .access(error)
        }
        state.withLock { $0.runs[run] = new }
        return new
    }

    /// Notes what has arrived, for people, and that the run lives.
    public func note(_ incoming: IncomingPart, at now: Double) {
        state.withLock { state in
            state.runs[incoming.part.run]?.parts[incoming.part.place]?.arrived = incoming.arrived
            state.runs[incoming.part.run]?.lastActivity = now
        }
    }

    /// Checks a part of which all bytes have arrived, makes it durable, and gives it its name.
    ///
    /// - Parameters:
    ///   - incoming: The part; it cannot be used afterwards.
    ///   - now: Seconds since 1970.
    /// - Throws: ``RunStoreError/otherBytes(_:found:)`` or ``RunStoreError/refused(_:reason:)``, and the bytes are
    ///   removed; ``RunStoreError/file(_:)``, and they stay.
    public func finish(_ incoming: IncomingPart, at now: Double) throws(RunStoreError) {
        let (part, digest) = (incoming.part, incoming.digest)
        guard let run = state.withLock({ $0.runs[part.run] }), run.parts[part.place]?.content == part.content else {
            throw .removedMeanwhile(part.at)
        }
        do throws(RunStoreError) {
            guard digest == part.content.digest else {
                throw .otherBytes(part.at, found: digest, expected: part.content.digest)
            }
            try requirePartials(of: part.at, at: incoming.path)
        } catch {
            drop(part.place, part.content.digest, of: run)
            state.withLock { _ = $0.runs[part.run]?.parts.removeValue(forKey: part.place) }
            forgetEmpty(part.run)
            throw error
        }
        do {
            try incoming.makeDurable()
            try Directories.rename(incoming.path, to: run.path(part.place, part.content.digest, .whole))
            try Directories.synchronize(run.directory)
        } catch let error as FileError {
            throw .file(error)
        } catch let error as FileAccessError {
            throw .file(.access(error))
        } catch {
            throw .refused(part.at, reason: "\(error)")
        }
        state.withLock { state in
            state.runs[part.run]?.parts[part.place]?.isWhole = true
            state.runs[part.run]?.parts[part.place]?.arrived = part.content.byteCount
            state.runs[part.run]?.lastActivity = now
        }
    }

    func requirePartials(of at: RunPlace, at path: FilePath) throws(RunStoreError) {
        let metadata: PartialsMetadata
        do {
            metadata = try PartialsMetadata(checking: SafetensorsFile(opening: path))
        } catch {
            // The client does not know the coordinator's path.
            throw .refused(at, reason: "\(error)".replacing(path.string, with: "the pushed file"))
        }
        let found = PartialsPlace(rank: metadata.rank, sequence: metadata.sequence)
        guard metadata.run == at.run.rawValue, found == at.place else {
            throw .refused(
                at,
                reason:
                    "the file's metadata says run \"\(metadata.run.excerpt)\", \(found); expected what was announced. "
                    + "Announce what the file says.")
        }
    }

    /// Removes a run of which nothing is there.
    func forgetEmpty(_ run: RunName) {
        let empty = state.withLock { state -> FilePath? in
            guard let found = state.runs[run], found.fileCount == 0, !found.isHeld else { return nil }
            state.runs[run] = nil
            return found.directory
        }
        if let empty { Directories.removeEmpty([empty]) }
    }

    /// Removes the bytes of a part, and then its record.
    func drop(_ place: PartialsPlace, _ digest: BlobDigest, of run: StoredRun) {
        try? Directories.remove(run.path(place, digest, .incoming))
        try? Directories.remove(run.path(place, digest, .record))
    }
}
