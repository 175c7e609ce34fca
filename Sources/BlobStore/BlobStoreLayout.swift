import Crypto
import Glibc
public import Identifiers
import SystemPackage

/// Where a store keeps what: the names below its directory.
struct BlobStoreLayout: Sendable {
    let directory: FilePath
    /// The directory whose entries are the directories of ``durable(_:)``.
    let durableRoot: FilePath
    /// The same for ``pending(_:)``.
    let pendingRoot: FilePath
    private let incomingRoot: FilePath

    private static let fanDigits = 2
    private static let hexadecimalDigits = "0123456789abcdef"

    init(directory: FilePath) {
        self.directory = directory
        durableRoot = directory.appending("durable")
        pendingRoot = directory.appending("pending")
        incomingRoot = directory.appending("incoming")
    }

    func durable(_ digest: BlobDigest) -> FilePath { Self.path(of: digest, below: durableRoot) }
    func pending(_ digest: BlobDigest) -> FilePath { Self.path(of: digest, below: pendingRoot) }

    /// A new name for bytes whose digest is not known yet.
    func newIncoming() -> FilePath {
        incomingRoot.appending(String(UInt64.random(in: .min ... .max), radix: 16))
    }

    /// Two hexadecimal digits spread the names over 256 directories, so that none grows beyond what file systems like.
    ///
    /// Each is made with the first blob that belongs there. The text is put together at once, since every step over a
    /// path's components looks at all of them, and paths are wanted several times a blob.
    private static func path(of digest: BlobDigest, below root: FilePath) -> FilePath {
        let name = digest.description
        return FilePath("\(root.string)/\(name.prefix(fanDigits))/\(name)")
    }

    /// The directory of a blob's file in one of the parts.
    func fan(of digest: BlobDigest, below root: FilePath) -> FilePath {
        FilePath("\(root.string)/\(digest.description.prefix(Self.fanDigits))")
    }

    /// Makes the directories of each part, and durable what a process before this one made and could not tell any more.
    func createDirectories() throws(BlobStoreError) {
        for path in [incomingRoot, pendingRoot, durableRoot] { try StoreDirectory.create(path) }
        try StoreDirectory.synchronize(durableRoot)
        try StoreDirectory.synchronize(directory)
    }

    func removeIncoming() throws(BlobStoreError) {
        for name in try StoreDirectory.names(in: incomingRoot) {
            _ = try StoreDirectory.remove(incomingRoot.appending(name))
        }
    }

    func durableBlobs() throws(BlobStoreError) -> [(digest: BlobDigest, byteCount: Int)] {
        try Self.blobs(below: durableRoot)
    }

    /// Blobs that were finished but not made durable before the store was last closed, hashed again; what does not
    /// match its name is removed.
    func verifiedPendingBlobs() throws(BlobStoreError) -> [(digest: BlobDigest, byteCount: Int)] {
        var verified: [(digest: BlobDigest, byteCount: Int)] = []
        for blob in try Self.blobs(below: pendingRoot) {
            let file = try StoreFile(opening: pending(blob.digest), flags: O_RDONLY)
            if try file.digest() == blob.digest {
                verified.append(blob)
            } else {
                _ = try StoreDirectory.remove(pending(blob.digest))
            }
        }
        return verified
    }

    private static func isFan(_ name: String) -> Bool {
        name.count == fanDigits && name.allSatisfy { hexadecimalDigits.contains($0) }
    }

    private static func blobs(
        below root: FilePath
    ) throws(BlobStoreError) -> [(digest: BlobDigest, byteCount: Int)] {
        var blobs: [(digest: BlobDigest, byteCount: Int)] = []
        for fan in try StoreDirectory.names(in: root) where isFan(fan) {
            let path = root.appending(fan)
            for name in try StoreDirectory.names(in: path) {
                guard let digest = BlobDigest(hexadecimal: name), digest.description == name, name.hasPrefix(fan)
                else { continue }
                let byteCount = try StoreFile(opening: path.appending(name), flags: O_RDONLY).byteCount()
                blobs.append((digest, byteCount))
            }
        }
        return blobs
    }
}

extension StoreFile {
    /// Bytes read at a time when a file is hashed.
    private static var blockByteCount: Int { 1 << 20 }

    /// The SHA-256 of the whole file; nil when `goesOn`, asked after every block, ended the reading.
    func digest(while goesOn: () -> Bool = { true }) throws(BlobStoreError) -> BlobDigest? {
        var hash = SHA256()
        var block = [UInt8](repeating: 0, count: Self.blockByteCount)
        var offset = 0
        while true {
            let count = try read(at: offset, into: &block)
            block.withUnsafeBytes { hash.update(bufferPointer: .init(rebasing: $0[..<count])) }
            offset += count
            if count < block.count { return BlobDigest(hash.finalize()) }
            guard goesOn() else { return nil }
        }
    }

    private func read(at offset: Int, into block: inout [UInt8]) throws(BlobStoreError) -> Int {
        var span = block.mutableSpan
        var raw = span.mutableBytes
        return try read(at: offset, into: &raw)
    }
}

extension BlobDigest {
    /// Takes over a finished hash.
    init(_ digest: SHA256.Digest) {
        guard let value = BlobDigest(bytes: digest) else {
            preconditionFailure("SHA-256 gave \(SHA256.byteCount) bytes; a blob digest has \(BlobDigest.byteCount)")
        }
        self = value
    }

    /// The SHA-256 of bytes in memory: the digest that ``BlobStore/put(_:)`` names them by.
    public init(hashing bytes: RawSpan) {
        var hash = SHA256()
        bytes.withUnsafeBytes { hash.update(bufferPointer: $0) }
        self.init(hash.finalize())
    }
}
