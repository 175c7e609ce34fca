import Glibc
public import SystemPackage

/// A fresh directory of one process, removed at the process's end.
///
/// After a kill, the next process that makes such a directory removes it.
///
/// A lock tells whether the owner lives, because the kernel releases it when a process ends; neither a clock nor a
/// process number can. The directory gets its name only after it is locked.
public struct OwnedDirectory: Sendable {
    /// The directory.
    public let path: FilePath
    private let lock: FileDescriptor

    private static let lockName = "owner"

    /// Makes a directory that only this user may enter, and removes abandoned ones beside it.
    ///
    /// - Parameters:
    ///   - prefix: How the names of such directories begin.
    ///   - place: The directory that holds them.
    /// - Throws: ``FileAccessError``.
    public init(prefix: String, in place: TemporaryPlace) throws(FileAccessError) {
        let (parent, setting) = (try WorkingDirectory.absolute(place.path), place.setting)
        // A place from the environment must exist already; if it does not, the variable is wrong.
        if place.isOption { try Directories.create(parent, setting: setting) }
        guard Directories.exists(parent) else {
            throw FileAccessError(parent, "nothing can be made in it", .noSuchFileOrDirectory, setting: setting)
        }
        Self.removeAbandoned(prefix: prefix, in: parent)
        let digits = String(UInt64.random(in: .min ... .max), radix: 16)
        let name = "\(prefix)\(getpid())-\(String(repeating: "0", count: 16 - digits.count))\(digits)"
        let unlocked = parent.appending(".\(name)")
        path = parent.appending(name)
        try Directories.create(unlocked, mode: 0o700, setting: setting)
        do {
            lock = try FileDescriptor.open(
                unlocked.appending(Self.lockName), .readWrite, options: [.create, .closeOnExec],
                permissions: [.ownerReadWrite])
        } catch {
            try? Directories.remove(unlocked)
            throw FileAccessError(parent, "nothing can be written in it", Self.code(error), setting: setting)
        }
        // On a file system without locks, other processes also cannot take it for abandoned.
        _ = flock(lock.rawValue, LOCK_EX | LOCK_NB)
        let (from, to) = (unlocked, path)
        guard unsafe from.withPlatformString({ from in unsafe to.withPlatformString { unsafe rename(from, $0) } }) == 0
        else {
            let code = Errno(rawValue: errno)
            try? Directories.remove(unlocked)
            throw FileAccessError(path, "the directory cannot get its name", code, setting: setting)
        }
    }

    /// Removes the directory with its contents, as far as possible.
    ///
    /// - Parameter stops: Called before each file; `true` stops the removal. The next directory that is made beside
    ///   this one removes the rest.
    /// - Returns: Whether everything is removed.
    @discardableResult
    public func remove(until stops: () -> Bool = { false }) -> Bool {
        defer { try? lock.close() }
        return (try? Self.remove(path, until: stops)) != nil
    }

    /// Removes a directory, and its lock file last.
    ///
    /// If the process is killed meanwhile, the next process finds the abandoned directory by its lock file.
    private static func remove(_ path: FilePath, until stops: () -> Bool) throws(FileAccessError) {
        for name in try Directories.names(in: path) where name != FilePath(lockName) {
            try Directories.remove(path.appending(name.components), until: stops)
        }
        try Directories.remove(path)
    }

    /// Removes the directories of killed processes.
    ///
    /// Touches only directories that belong to this user alone, since anybody may put something there. A cancelled task
    /// leaves the rest to the next call.
    private static func removeAbandoned(prefix: String, in parent: FilePath) {
        let names = (try? FileRoots.unlimited.names(in: parent)) ?? []
        for name in names where name.hasPrefix(prefix) && isAbandoned(parent.appending(name)) {
            try? remove(parent.appending(name)) { Task.isCancelled }
        }
    }

    private static func isAbandoned(_ path: FilePath) -> Bool {
        var directory = stat()
        guard unsafe path.withPlatformString({ unsafe lstat($0, &directory) }) == 0,
            directory.st_mode & S_IFMT == S_IFDIR, directory.st_mode & 0o077 == 0, directory.st_uid == geteuid(),
            let lock = try? FileDescriptor.open(
                path.appending(lockName), .readWrite, options: [.closeOnExec, .noFollow])
        else { return false }
        defer { try? lock.close() }
        return flock(lock.rawValue, LOCK_EX | LOCK_NB) == 0
    }

    private static func code(_ error: any Error) -> Errno { error as? Errno ?? .ioError }
}
