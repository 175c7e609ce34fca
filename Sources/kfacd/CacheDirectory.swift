import FileAccess
import Foundation
import SystemPackage

/// Where a worker keeps its blobs.
struct CacheDirectory {
    /// The directory.
    let path: FilePath
    /// The same, when it was made for this process alone.
    private let owned: OwnedDirectory?

    /// Takes a directory that a user named, or makes a fresh one.
    ///
    /// - Throws: ``UsageFailure`` when it cannot be made.
    init(path: String?) throws {
        do {
            if let path {
                self.path = try WorkingDirectory.absolute(FilePath(path))
                owned = nil
                try Directories.create(self.path, setting: "--cache-directory")
            } else {
                let place = TemporaryPlace(named: nil, option: "--cache-directory", usual: "/tmp")
                let owned = try OwnedDirectory(prefix: "kfacd-worker-", in: place)
                (self.path, self.owned) = (owned.path, owned)
            }
        } catch {
            throw UsageFailure("the cache directory cannot be used: \(error)")
        }
    }

    /// Whether it was made for this process alone.
    var isTemporary: Bool { owned != nil }

    /// Removes a directory that nobody will use again.
    func removeIfTemporary() {
        owned?.remove()
    }
}
