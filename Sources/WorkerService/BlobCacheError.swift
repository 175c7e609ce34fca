import BlobStore
import Identifiers
import SystemPackage

/// Why the cache cannot accept or give bytes.
enum BlobCacheError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The blobs that must be kept leave no room within the cache's limit or on the disk.
    case noSpace(directory: FilePath, needed: UInt64, limit: UInt64, inUse: UInt64, free: UInt64)
    /// A blob is larger than the cache can ever be, so that no waiting helps.
    case tooLarge(directory: FilePath, needed: UInt64, most: UInt64, isShare: Bool)
    /// A blob of the cache is gone, or can no longer be read.
    case lost(BlobStoreError)
    /// The disk failed in another way.
    case store(BlobStoreError)

    var description: String {
        switch self {
        case .noSpace(let directory, let needed, let limit, let inUse, let free):
            "\(directory): there is no room for \(needed) bytes: the limit is \(limit) bytes, of which \(inUse) are in "
                + "use by units under way, and \(free) bytes are free on the disk. Raise --cache-size, or make room."
        case .tooLarge(let directory, let needed, let most, let isShare):
            "\(directory): \(needed) bytes never fit: the most is \(most) bytes"
                + (isShare
                    ? ", a quarter of the disk. Use a larger disk (kfacctl: --state-directory; kfacd worker: "
                        + "--cache-directory), or set --cache-size of kfacd worker."
                    : ". Raise --cache-size.")
        case .lost(let error), .store(let error): "\(error)"
        }
    }
}
