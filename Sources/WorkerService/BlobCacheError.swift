import BlobStore
import Identifiers
import SystemPackage

/// Why the cache cannot take or give bytes.
enum BlobCacheError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What must be kept leaves no room: the cache's limit or the disk itself ends here.
    case noSpace(directory: FilePath, needed: UInt64, limit: UInt64, inUse: UInt64, free: UInt64)
    /// A blob that was here is gone, or cannot be read any more.
    case lost(BlobStoreError)
    /// The disk failed otherwise.
    case store(BlobStoreError)

    var description: String {
        switch self {
        case .noSpace(let directory, let needed, let limit, let inUse, let free):
            "\(directory): there is no room for \(needed) bytes: the limit is \(limit) bytes, of which \(inUse) are in "
                + "use by units under way, and \(free) bytes are free on the disk. Raise --cache-size, or make room."
        case .lost(let error), .store(let error): "\(error)"
        }
    }
}
