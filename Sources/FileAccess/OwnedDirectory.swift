import Glibc
public import SystemPackage

/// A fresh directory of one process, beside those of others: it is removed at the end, and when the process was killed,
/// by the next one that makes such a directory.
///
/// Whether its owner lives is told by a lock that the kernel gives back when a process ends, and not by a clock or by
/// a process's number. The directory gets its name only when it is locked.
public struct OwnedDirectory: Sendable {
    /// The directory.
    public let path: FilePath
    private let lock: FileDescriptor

    private static let lockName = "owner"

    /// Makes a directory that only this user may enter, and removes those that were left beside it.
    ///
    /// - Parameters:
    ///   - prefix: How the names of such directories begin.
    ///   - place: The directory that holds them.
    /// - Throws: ``FileAccessError``.
    public init(prefix: String, in place: TemporaryPlace) throws(FileAccessError) {
        let (parent, setting) = (try WorkingDirectory.absolute(place.path), place.setting)
        // What the environment names is there, or the name is wrong.
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
        // Without locks on this file system nobody takes it for abandoned either.
        _ = flock(lock.rawValue, LOCK_EX | LOCK_NB)
        let (from, to) = (unlocked, path)
        guard unsafe from.withPlatformString({ from in unsafe to.withPlatformString { unsafe rename(from, $0) } }) == 0
        else {
            let code = Errno(rawValue: errno)
            try? Directories.remove(unlocked)
            throw FileAccessError(path, "the directory cannot get its name", code, setting: setting)
        }
    }

    /// Removes the directory with everything in it, as far as that is possible.
    ///
    /// - Parameter stops: Asked before each file; what is left goes with the next directory that is made beside it.
    /// - Returns: Whether nothing is left.
    @discardableResult
    public func remove(until stops: () -> Bool = { false }) -> Bool {
        defer { try? lock.close() }
        return (try? Self.remove(path, until: stops)) != nil
    }

    /// Removes a directory and the file of its lock last: whoever is killed meanwhile leaves one that the next finds to
    /// be abandoned.
    private static func remove(_ path: FilePath, until stops: () -> Bool) throws(FileAccessError) {
        for name in try Directories.names(in: path) where name != FilePath(lockName) {
            try Directories.remove(path.appending(name.components), until: stops)
        }
        try Directories.remove(path)
    }

    /// Removes what processes left that were killed.
    ///
    /// Only what belongs to this user alone is touched, since anybody may put something there. A task that is cancelled
    /// leaves the rest to the next.
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
