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
        guard part.run.isValid else { throw .invalidName(part.run) }
        guard (0..<PartialsPlace.numberMax).contains(part.place.rank),
            (0..<PartialsPlace.numberMax).contains(part.place.sequence)
        else { throw .invalidPlace(part) }
        let known = state.withLock { state in
            state.runs[part.run]?.lastActivity = now
            return state.runs[part.run]?.parts[part.place]
        }
        if let known, known.isWhole {
            guard known.content == part.content else { throw .occupied(part, by: known.content, sender: known.sender) }
            return .whole
        }
        let isSame = known?.content == part.content
        try requireRoom(for: part, replacing: known)
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

    /// Refuses a part for which there is no room, before anything is written.
    private func requireRoom(for part: PushedPart, replacing known: StoredRun.Part?) throws(RunStoreError) {
        let (used, arrived, runs, parts, all) = state.withLock { state in
            (
                state.announcedBytes, state.arrivedBytes, state.runs.count, state.runs[part.run]?.parts.count,
                state.runs.values.reduce(0) { $0 + $1.parts.count }
            )
        }
        if parts == nil, runs >= Self.runsMax { throw .tooManyRuns(limit: Self.runsMax) }
        if known == nil, let parts, parts >= Self.partsMax { throw .tooManyFiles(part.run, limit: Self.partsMax) }
        if known == nil, all >= Self.allPartsMax { throw .tooManyFilesOfAll(limit: Self.allPartsMax) }
        guard let (limit, free) = limit(held: arrived) else { return }
        // The same part is counted already.
        let others = used - (known?.content.byteCount ?? 0)
        guard others <= limit, part.content.byteCount <= limit - others else {
            throw .overQuota(part, used: others, limit: limit)
        }
        let present = known.map { $0.content == part.content ? $0.arrived : 0 } ?? 0
        let needed = part.content.byteCount - min(present, part.content.byteCount)
        guard needed <= free else { throw .noRoom(part, needed: needed, free: free) }
    }

    /// The run, whose directory exists.
    private func directory(of run: RunName, at now: Double) throws(FileError) -> StoredRun {
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
            throw .removedMeanwhile(part)
        }
        do throws(RunStoreError) {
            guard digest == part.content.digest else { throw .otherBytes(part, found: digest) }
            try requirePartials(of: part, at: incoming.path)
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
            throw .refused(part, reason: "\(error)")
        }
        state.withLock { state in
            state.runs[part.run]?.parts[part.place]?.isWhole = true
            state.runs[part.run]?.parts[part.place]?.arrived = part.content.byteCount
            state.runs[part.run]?.lastActivity = now
        }
    }

    private func requirePartials(of part: PushedPart, at path: FilePath) throws(RunStoreError) {
        let metadata: PartialsMetadata
        do {
            metadata = try PartialsMetadata(checking: SafetensorsFile(opening: path))
        } catch {
            // The client does not know the coordinator's path.
            throw .refused(part, reason: "\(error)".replacing(path.string, with: "the pushed file"))
        }
        let found = PartialsPlace(rank: metadata.rank, sequence: metadata.sequence)
        guard metadata.run == part.run.rawValue, found == part.place else {
            throw .refused(
                part,
                reason:
                    "the file's metadata says run \"\(metadata.run.excerpt)\", \(found); expected what was announced. "
                    + "Announce what the file says.")
        }
    }

    /// Removes a run of which nothing is there.
    private func forgetEmpty(_ run: RunName) {
        let empty = state.withLock { state -> FilePath? in
            guard let found = state.runs[run], found.parts.isEmpty, !found.isHeld else { return nil }
            state.runs[run] = nil
            return found.directory
        }
        if let empty { Directories.removeEmpty([empty]) }
    }

    /// Removes the bytes of a part, and then its record.
    private func drop(_ place: PartialsPlace, _ digest: BlobDigest, of run: StoredRun) {
        try? Directories.remove(run.path(place, digest, .incoming))
        try? Directories.remove(run.path(place, digest, .record))
    }
}
