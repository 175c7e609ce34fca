import Crypto
import Glibc
public import Identifiers
import SystemPackage

/// Where a store keeps what: the names below its directory.
struct BlobStoreLayout {
    let directory: FilePath

    private static let hexadecimalDigits = Array("0123456789abcdef")

    func durable(_ digest: BlobDigest) -> FilePath { path(of: digest, in: "durable") }
    func pending(_ digest: BlobDigest) -> FilePath { path(of: digest, in: "pending") }

    /// A new name for bytes whose digest is not known yet.
    func newIncoming() -> FilePath {
        directory.appending("incoming").appending(String(UInt64.random(in: .min ... .max), radix: 16))
    }

    /// Two hexadecimal digits spread the names over 256 directories, so that none grows beyond what file systems like.
    private func path(of digest: BlobDigest, in part: FilePath.Component) -> FilePath {
        let name = digest.description
        return directory.appending(part).appending(String(name.prefix(2))).appending(name)
    }

    private static var fanOut: [String] {
        hexadecimalDigits.flatMap { high in hexadecimalDigits.map { "\(high)\($0)" } }
    }

    /// Makes all directories now and their names durable, so that no later step has to.
    func createDirectories() throws(BlobStoreError) {
        for part: FilePath.Component in ["incoming", "pending", "durable"] {
            let path = directory.appending(part)
            try StoreDirectory.create(path)
            guard part != "incoming" else { continue }
            for name in Self.fanOut { try StoreDirectory.create(path.appending(name)) }
            try StoreDirectory.synchronize(path)
        }
        try StoreDirectory.synchronize(directory)
    }

    func removeIncoming() throws(BlobStoreError) {
        let incoming = directory.appending("incoming")
        for name in try StoreDirectory.names(in: incoming) {
            _ = try StoreDirectory.remove(incoming.appending(name))
        }
    }

    func durableBlobs() throws(BlobStoreError) -> [(digest: BlobDigest, byteCount: Int)] {
        try blobs(in: "durable")
    }

    /// Blobs that were finished but not made durable before the store was last closed, hashed again; what does not
    /// match its name is removed.
    func verifiedPendingBlobs() throws(BlobStoreError) -> [(digest: BlobDigest, byteCount: Int)] {
        var verified: [(digest: BlobDigest, byteCount: Int)] = []
        for blob in try blobs(in: "pending") {
            let file = try StoreFile(opening: pending(blob.digest), flags: O_RDONLY)
            if try file.digest() == blob.digest {
                verified.append(blob)
            } else {
                _ = try StoreDirectory.remove(pending(blob.digest))
            }
        }
        return verified
    }

    private func blobs(in part: FilePath.Component) throws(BlobStoreError) -> [(digest: BlobDigest, byteCount: Int)] {
        var blobs: [(digest: BlobDigest, byteCount: Int)] = []
        for fan in Self.fanOut {
            let path = directory.appending(part).appending(fan)
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
