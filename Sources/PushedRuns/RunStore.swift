public import FileAccess
public import Identifiers
import Synchronization
public import SystemPackage

/// The runs whose partial sums clients push, as files in one directory.
///
/// A run is a directory, and a part of it is a file that exists only when it is whole and checked. Beside it is its
/// record. Bytes that have arrived of other parts are in files of their own, and survive a restart. So the directory
/// is the only state, and no journal repeats it.
///
/// Bounds: ``runsMax`` runs, ``partsMax`` parts of a run, ``allPartsMax`` of all, and the quota's bytes.
///
/// Calls that change files come from one task at a time, except ``keep(_:for:)`` and
/// ``release(_:at:)``, which may come at any time.
public final class RunStore: Sendable {
    /// The most runs.
    public static let runsMax = 1000
    /// The most parts of a run.
    public static let partsMax = 1 << 16
    /// The most parts of all runs.
    public static let allPartsMax = 1 << 17

    struct State {
        var runs: [RunName: StoredRun] = [:]

        /// Bytes of all parts when they are whole.
        var announcedBytes: UInt64 { runs.values.reduce(0) { $0 + $1.announcedBytes } }
        /// Bytes that have arrived.
        var arrivedBytes: UInt64 { runs.values.reduce(0) { $0 + $1.parts.values.reduce(0) { $0 + $1.arrived } } }
    }

    /// The directory of the runs.
    public let directory: FilePath
    private let quota: RunQuota
    let state: Mutex<State>

    /// Opens the runs in a directory, which is made when the first file is announced.
    ///
    /// Files that a crash left half-made are removed.
    ///
    /// - Parameters:
    ///   - directory: The directory.
    ///   - quota: The most bytes of all runs.
    /// - Throws: `FileError` when the directory cannot be listed.
    public init(opening directory: FilePath, quota: RunQuota) throws(FileError) {
        self.directory = directory
        self.quota = quota
        var runs: [RunName: StoredRun] = [:]
        if Directories.isDirectory(directory) {
            for name in try WholeFile.names(in: directory) {
                let path = directory.appending(name)
                guard FileStatus(of: path)?.kind == .directory else { continue }
                let run = RunName(rawValue: name)
                if RunRemoval.isRemains(name) {
                    try? Directories.remove(path)
                } else if run.isValid, let found = try RunScan.read(path) {
                    runs[run] = found
                }
            }
        }
        state = Mutex(State(runs: runs))
    }

    // MARK: - Telling

    /// What has been pushed, sorted by name.
    ///
    /// - Parameter now: Seconds since 1970.
    /// - Returns: A summary of each run.
    public func summaries(at now: Double) -> [RunSummary] {
        state.withLock { state in
            state.runs.sorted { $0.key < $1.key }.map { $0.value.summary($0.key, at: now) }
        }
    }

    /// The bytes of all runs, announced ones included, and their limit now.
    public var usage: (used: UInt64, limit: UInt64) {
        let (used, arrived) = state.withLock { ($0.announcedBytes, $0.arrivedBytes) }
        return (used, limit(held: arrived)?.limit ?? 0)
    }

    /// The limit and the free bytes of the file system; nil when they cannot be determined.
    func limit(held: UInt64) -> (limit: UInt64, free: UInt64)? {
        // The directory is made with the first run.
        let place = Directories.isDirectory(directory) ? directory : directory.removingLastComponent()
        guard let room = try? FileSystemRoom(of: place.isEmpty ? "." : place) else { return nil }
        return (quota.byteCount(total: room.total, free: room.free, held: held), room.free)
    }

    // MARK: - Removing

    /// Removes a run that no job uses.
    ///
    /// - Parameters:
    ///   - run: The run.
    ///   - now: Seconds since 1970.
    /// - Returns: What was removed.
    /// - Throws: ``RunStoreError/unknown(_:known:)``, ``RunStoreError/inUse(_:)`` or ``RunStoreError/file(_:)``.
    public func remove(_ run: RunName, at now: Double) throws(RunStoreError) -> RunSummary {
        let taken = state.withLock { state -> Result<StoredRun, RunStoreError> in
            guard let found = state.runs[run] else { return .failure(.unknown(run, known: state.runs.keys.sorted())) }
            guard !found.isHeld else { return .failure(.inUse(run)) }
            state.runs[run] = nil
            return .success(found)
        }
        let found = try taken.get()
        do throws(FileError) {
            try RunRemoval.remove(found.directory)
        } catch {
            state.withLock { state in if state.runs[run] == nil { state.runs[run] = found } }
            throw .file(error)
        }
        return found.summary(run, at: now)
    }

    /// Removes the runs without a sign of life for a time, unless a job uses them.
    ///
    /// - Parameters:
    ///   - limit: The time in seconds.
    ///   - isOpen: Whether a push of the run is open.
    ///   - now: Seconds since 1970.
    /// - Returns: What was removed, and what could not be removed.
    public func expire(
        after limit: Double, unless isOpen: (RunName) -> Bool, at now: Double
    ) -> [(run: RunName, outcome: Result<RunSummary, RunStoreError>)] {
        let due = state.withLock { state in
            state.runs.filter { !$0.value.isHeld && $0.value.streams.isEmpty && now - $0.value.lastActivity >= limit }
                .keys.sorted()
        }
        return due.filter { !isOpen($0) }.map { run in
            do throws(RunStoreError) {
                return (run, .success(try remove(run, at: now)))
            } catch {
                return (run, .failure(error))
            }
        }
    }
}

/// Removes a run's directory so that a crash leaves either the whole run or only remains of it.
enum RunRemoval {
    /// No run has such a name, because of the leading dot.
    private static let prefix = ".removed-"

    static func isRemains(_ name: String) -> Bool { name.hasPrefix(prefix) }

    /// Renames a directory, and removes it.
    ///
    /// - Throws: `FileError`; the run is unchanged if it could not be renamed.
    static func remove(_ directory: FilePath) throws(FileError) {
        let aside = directory.removingLastComponent().appending(
            prefix + String(UInt64.random(in: .min ... .max), radix: 16))
        do throws(FileAccessError) {
            try Directories.rename(directory, to: aside)
            try Directories.remove(aside)
        } catch {
            throw .access(error)
        }
    }
}
