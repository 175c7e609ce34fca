import ArgumentParser
import Foundation
import Glibc

/// Where a worker keeps its blobs.
struct CacheDirectory {
    /// The directory.
    let path: String
    /// Whether it was made for this process alone.
    let isTemporary: Bool

    /// Takes a directory that a user named, or makes a fresh one.
    init(path: String?) throws {
        guard let path else {
            let parent = FileManager.default.temporaryDirectory
            Self.removeAbandoned(in: parent)
            let fresh = parent.appendingPathComponent("\(Self.prefix)\(UUID().uuidString)")
            try FileManager.default.createDirectory(
                at: fresh, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            self.path = fresh.path
            isTemporary = true
            return
        }
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw ValidationError("--cache-directory \(path) cannot be made: \(error.localizedDescription)")
        }
        self.path = path
        isTemporary = false
    }

    private static let prefix = "kfacd-worker-"
    /// Seconds after which a directory whose lock nobody holds was left.
    private static let ageMin = 10

    /// Removes what workers left that were killed: a store that is in use has its lock held.
    ///
    /// Only what belongs to this user alone is touched, since anybody may put something there, and nothing that was
    /// made just now, whose lock may be about to be taken.
    private static func removeAbandoned(in parent: URL) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: parent.path)) ?? []
        for name in names where name.hasPrefix(prefix) {
            let path = parent.appendingPathComponent(name).path
            let lock = open("\(path)/lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW)
            guard lock >= 0 else { continue }
            defer { Glibc.close(lock) }
            var (directory, file) = (stat(), stat())
            guard lstat(path, &directory) == 0, fstat(lock, &file) == 0, directory.st_mode & S_IFMT == S_IFDIR,
                directory.st_mode & 0o077 == 0, directory.st_uid == geteuid(), file.st_uid == geteuid(),
                file.st_mtim.tv_sec + ageMin < time(nil), flock(lock, LOCK_EX | LOCK_NB) == 0
            else { continue }
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    /// Removes a directory that nobody will use again.
    func removeIfTemporary() {
        if isTemporary { try? FileManager.default.removeItem(atPath: path) }
    }
}
