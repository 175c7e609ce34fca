import FileAccess
import Foundation
import SystemPackage

/// The directory of a worker's blobs.
struct CacheDirectory {
    /// The directory.
    let path: FilePath
    /// The same directory, if it was made for this process alone.
    private let owned: OwnedDirectory?

    /// Takes the directory that a user named, or makes a new one.
    ///
    /// - Throws: ``UsageFailure`` when the directory cannot be made.
    init(path: String?) throws {
        do {
            if let path {
                self.path = try WorkingDirectory.absolute(FilePath(path))
                owned = nil
                try Directories.create(self.path, setting: "--cache-directory")
                try Self.requireWriting(in: self.path)
            } else {
                let place = TemporaryPlace(named: nil, option: "--cache-directory", usual: "/tmp")
                let owned = try OwnedDirectory(prefix: "kfacd-worker-", in: place)
                (self.path, self.owned) = (owned.path, owned)
            }
        } catch {
            throw UsageFailure("the cache directory cannot be used: \(error)")
        }
    }

    /// A full disk is accepted, because there may be room later.
    private static func requireWriting(in path: FilePath) throws(FileAccessError) {
        do throws(FileAccessError) { try Directories.requireWriting(in: path, setting: "--cache-directory") } catch {
            guard error.code.isLackOfRoom else { throw error }
        }
    }

    /// Whether the directory was made for this process alone.
    var isTemporary: Bool { owned != nil }

    /// Removes the directory if it was made for this process alone.
    func removeIfTemporary() {
        owned?.remove()
    }
}
