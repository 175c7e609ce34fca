import FileAccess
public import Identifiers
import Synchronization
public import SystemPackage

/// The files of a run that a check or a job uses.
///
/// As long as it exists, the run is neither removed nor expires.
public final class RunMembers: Sendable {
    /// The run.
    public let run: RunName
    /// The whole files by rank and sequence.
    public let files: [FilePath]
    let digests: [FilePath: BlobReference]
    private let store: RunStore

    init(run: RunName, files: [(path: FilePath, content: BlobReference)], store: RunStore) {
        self.run = run
        self.files = files.map(\.path)
        digests = Dictionary(files) { first, _ in first }
        self.store = store
    }

    deinit { store.endUse(of: run) }

    /// The digest that the acknowledgement of a file stated; nil for a file of something else.
    public func acknowledgedDigest(of file: FilePath) -> BlobDigest? { digests[file]?.digest }

    /// Reads the files, and removes those whose bytes are not the acknowledged ones, so that they can be pushed again.
    ///
    /// - Parameter onFile: Called before each file; false stops the reading.
    /// - Returns: The damaged or missing files, by rank and sequence.
    /// - Throws: ``RunStoreError/file(_:)`` for a file that cannot be read now; it stays.
    public func removeDamaged(onFile: (Int) -> Bool) throws(RunStoreError) -> [PartialsPlace] {
        var damaged: [PartialsPlace] = []
        for (index, file) in files.enumerated() {
            guard onFile(index) else { break }
            guard let content = digests[file], let name = file.lastComponent.flatMap({ PartFileName($0.string) }) else {
                continue
            }
            do throws(FileError) {
                guard try FileDigest.sha256(ofFileAt: file) != content.digest.bytes else { continue }
            } catch {
                // A fault that may pass says nothing about the bytes.
                guard error.code == .noSuchFileOrDirectory else { throw .file(error) }
            }
            store.discard(name.place, of: run)
            damaged.append(name.place)
        }
        return damaged
    }
}

/// Runs as inputs of jobs.
extension RunStore {
    /// The files of a run for a job: the whole ones now, or those that the job was given before a restart.
    ///
    /// - Parameters:
    ///   - run: The run.
    ///   - job: The job that is checked.
    /// - Returns: The files, held as long as the value exists.
    /// - Throws: ``RunStoreError``; nothing is held then.
    public func members(of run: RunName, for job: JobID) throws(RunStoreError) -> RunMembers {
        let outcome = state.withLock { state -> Result<[(FilePath, BlobReference)], RunStoreError> in
            guard let found = state.runs[run] else { return .failure(.unknown(run, known: state.runs.keys.sorted())) }
            let whole = found.parts.filter(\.value.isWhole).sorted { $0.key < $1.key }
            var files = whole.map { place, part in
                (name: PartFileName(place, part.content.digest, .whole).text, content: part.content)
            }
            if let held = found.holds[job] {
                let known = Set(files.map(\.name))
                let missing = held.filter { !known.contains($0) }
                guard missing.isEmpty, !held.isEmpty else { return .failure(.incomplete(run, missing: missing)) }
                let wanted = Set(held)
                files = files.filter { wanted.contains($0.name) }
            }
            guard !files.isEmpty else { return .failure(.nothingWhole(run)) }
            state.runs[run]?.readers += 1
            return .success(files.map { (found.directory.appending($0.name), $0.content) })
        }
        return RunMembers(run: run, files: try outcome.get(), store: self)
    }

    func endUse(of run: RunName) {
        state.withLock { $0.runs[run]?.readers -= 1 }
    }

    /// Keeps files for a job until it is released, also after a restart.
    ///
    /// - Throws: ``RunStoreError/file(_:)``; the list is not durable then.
    public func keep(_ members: RunMembers, for job: JobID) throws(RunStoreError) {
        guard let run = state.withLock({ $0.runs[members.run] }) else { throw .unknown(members.run, known: []) }
        let names = members.files.compactMap { $0.lastComponent?.string }
        do throws(FileError) {
            try RunHold.write(names, to: run.directory.appending(RunHold.fileName(of: job)))
        } catch {
            throw .file(error)
        }
        state.withLock { $0.runs[members.run]?.holds[job] = names }
    }

    /// Ends the use of runs by a job.
    ///
    /// - Parameters:
    ///   - job: The job.
    ///   - now: Seconds since 1970; the end of a job is a sign of life of its runs.
    public func release(_ job: JobID, at now: Double) {
        let held = state.withLock { state in
            state.runs.filter { $0.value.holds[job] != nil }.mapValues(\.directory)
        }
        for (run, directory) in held {
            // A list that cannot be removed is removed by the next start, since its job no longer runs then.
            try? Directories.remove(directory.appending(RunHold.fileName(of: job)))
            state.withLock { state in
                state.runs[run]?.holds[job] = nil
                state.runs[run]?.lastActivity = now
            }
        }
    }

    /// Ends the use of runs by all jobs that no longer run.
    public func releaseAll(except running: Set<JobID>, at now: Double) {
        let jobs = state.withLock { state in Set(state.runs.values.flatMap(\.holds.keys)) }
        for job in jobs.subtracting(running) { release(job, at: now) }
    }

    /// Forgets a damaged file, and removes it.
    func discard(_ place: PartialsPlace, of run: RunName) {
        let damaged = state.withLock { state -> FilePath? in
            guard let found = state.runs[run], let part = found.parts[place], part.isWhole else { return nil }
            state.runs[run]?.parts[place] = nil
            return found.path(place, part.content.digest, .whole)
        }
        if let damaged { try? Directories.remove(damaged) }
    }
}
