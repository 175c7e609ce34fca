import ArgumentParser
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
    /// - Throws: `ValidationError` when it cannot be made.
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
            throw ValidationError("the cache directory cannot be used: \(error)")
        }
    }

    /// Whether it was made for this process alone.
    var isTemporary: Bool { owned != nil }

    /// A quarter of the file system, or half of what is free there, whichever is less.
    var defaultByteCount: UInt64 {
        get throws {
            let attributes = try? FileManager.default.attributesOfFileSystem(forPath: path.string)
            guard let size = attributes?[.systemSize] as? NSNumber, let free = attributes?[.systemFreeSize] as? NSNumber
            else { throw ValidationError("the size of the file system of \(path) is not known; give --cache-size.") }
            return min(size.uint64Value / 4, free.uint64Value / 2)
        }
    }

    /// Removes a directory that nobody will use again.
    func removeIfTemporary() {
        owned?.remove()
    }
}
