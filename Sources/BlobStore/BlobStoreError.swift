public import FileAccess
public import Identifiers
public import SystemPackage

/// Errors between a store and its disk.
public enum BlobStoreError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Another process has the directory open as its store.
    case inUse(directory: FilePath)
    /// A file of the store cannot be read or written.
    ///
    /// When the file system or the quota is full, blobs that were finished before are intact.
    case file(FileError)
    /// The store does not hold the blob.
    case missing(directory: FilePath, digest: BlobDigest)
    /// The written bytes do not have the expected digest.
    ///
    /// They were removed.
    case digestMismatch(directory: FilePath, expected: BlobDigest, found: BlobDigest)
    /// A read goes beyond a blob.
    case rangeOutside(digest: BlobDigest, start: Int, count: Int, byteCount: Int)
    /// A blob of the store can no longer be read; it was removed.
    case lost(BlobLoss)
    /// The directory is the store of another version or of another program.
    case format(directory: FilePath, FormatProblem)

    /// The unavailable blob that the error is about, if any; it must be made or fetched again.
    public var lostBlob: BlobDigest? {
        switch self {
        case .lost(let loss): loss.digest
        case .missing(_, let digest): digest
        case .inUse, .file, .digestMismatch, .rangeOutside, .format: nil
        }
    }

    /// The sentence for the user.
    public var description: String {
        switch self {
        case .inUse(let directory):
            "\(directory): is the blob store of another running process; expected one process a store. "
                + "Name another directory, or end the other process."
        case .file(let error): error.description
        case .missing(let directory, let digest):
            "\(directory): blob \(digest) is not in the store; expected it to be kept. Compute or fetch it again."
        case .digestMismatch(let directory, let expected, let found):
            "\(directory): the bytes received have the digest \(found); expected \(expected). Fetch them again."
        case .rangeOutside(let digest, let start, let count, let byteCount):
            "blob \(digest): has \(byteCount) bytes; \(count) bytes from byte \(start) on are not all in it."
        case .lost(let loss): loss.description
        case .format(let directory, .otherFormat(let found, let expected)):
            "\(directory): the directory of blobs is of the format \"\(found.description.excerpt)\"; expected "
                + "\"\(expected)\". Name another directory. If it is this daemon's own and only the file \"format\" in it "
                + "is damaged, remove that file: each blob is checked when it is read."
        case .format(let directory, let problem): "\(directory): the directory of blobs \(problem)"
        }
    }

    /// Whether the same call may succeed later, for example when there is room again or the blob is back.
    public var isRetriable: Bool {
        switch self {
        case .inUse, .file, .missing, .digestMismatch, .lost: true
        case .rangeOutside, .format: false
        }
    }
}

extension BlobStoreError: FileFailure {
    /// What is wrong with a store's file.
    public init(_ error: FileError) { self = .file(error) }
}

/// An open file of a store.
typealias StoreFile = OpenedFile<BlobStoreError>
