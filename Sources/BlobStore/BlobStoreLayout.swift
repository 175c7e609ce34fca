import Crypto
import FileAccess
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
    ///
    /// Something else that has the name of one of them is set aside.
    func createDirectories() throws(BlobStoreError) {
        for path in [incomingRoot, pendingRoot, durableRoot] {
            try StoreDirectory.create(path)
            if StoreDirectory.byteCount(ofFileAt: path) != nil {
                _ = StoreDirectory.setAside(path)
                try StoreDirectory.create(path)
            }
        }
        try StoreDirectory.synchronize(durableRoot)
        try StoreDirectory.synchronize(directory)
    }

    /// Refuses a directory of another version; states this one's where none is stated, or where it is damaged: blobs
    /// prove themselves.
    ///
    /// - Throws: ``BlobStoreError/format(directory:_:)`` or the failed call.
    func claimFormat() throws(BlobStoreError) {
        let path = directory.appending("format")
        switch FormatVersion.blobs.problem(with: statedFormat(at: path)) {
        case nil: return
        case .newer(let found, let expected): throw .format(directory: directory, .newer(found, expected: expected))
        case .older(let found, let expected): throw .format(directory: directory, .older(found, expected: expected))
        case .otherFormat(let found, let expected):
            throw .format(directory: directory, .otherFormat(found, expected: expected))
        case .missing, .malformed: break
        }
        StoreDirectory.discard(path)
        let written = directory.appending("format.written")
        StoreDirectory.discard(written)
        do throws(BlobStoreError) {
            let file = try StoreFile(opening: written, flags: O_WRONLY | O_CREAT | O_TRUNC)
            try file.write(Array("\(FormatVersion.blobs)\n".utf8).span.bytes, at: 0)
        } catch .diskFull {
            // Room may come; the next opening states it.
            StoreDirectory.discard(written)
            return
        }
        try StoreDirectory.rename(written, to: path)
    }

    private func statedFormat(at path: FilePath) -> String? {
        guard let file = try? StoreFile(opening: path, flags: O_RDONLY) else { return nil }
        var bytes = [UInt8](repeating: 0, count: 100)
        let count: Int
        do {
            var span = bytes.mutableSpan
            var raw = span.mutableBytes
            count = (try? file.read(at: 0, into: &raw)) ?? 0
        }
        return String(decoding: bytes.prefix(count).prefix { $0 != 0x0A }, as: UTF8.self)
    }

    func removeIncoming() throws(BlobStoreError) {
        for name in try StoreDirectory.names(in: incomingRoot) { StoreDirectory.discard(incomingRoot.appending(name)) }
    }

    func durableBlobs(_ lost: inout [BlobLoss]) throws(BlobStoreError) -> [(digest: BlobDigest, byteCount: Int)] {
        try Self.blobs(below: durableRoot, &lost)
    }

    /// Blobs that were finished but not made durable before the store was last closed, hashed again; what does not
    /// match its name is removed.
    ///
    /// Not a loss of the disk's: a power failure may have taken their bytes.
    func verifiedPendingBlobs(
        _ lost: inout [BlobLoss]
    ) throws(BlobStoreError) -> [(digest: BlobDigest, byteCount: Int)] {
        var verified: [(digest: BlobDigest, byteCount: Int)] = []
        for blob in try Self.blobs(below: pendingRoot, &lost) {
            if try digest(ofFileAt: pending(blob.digest)) == blob.digest {
                verified.append(blob)
            } else {
                StoreDirectory.discard(pending(blob.digest))
            }
        }
        return verified
    }

    /// `nil` for a file that cannot be read.
    private func digest(ofFileAt path: FilePath) throws(BlobStoreError) -> BlobDigest? {
        do throws(BlobStoreError) {
            return try StoreFile(opening: path, flags: O_RDONLY).digest()
        } catch .callFailed(_, let call, let code) where BlobLoss.Fault(call: call, code: code) != nil {
            return nil
        }
    }

    private static func isFan(_ name: String) -> Bool {
        name.count == fanDigits && name.allSatisfy { hexadecimalDigits.contains($0) }
    }

    /// The blobs of one part, from their names and sizes; what cannot be one, though it is named so, is removed.
    private static func blobs(
        below root: FilePath, _ lost: inout [BlobLoss]
    ) throws(BlobStoreError) -> [(digest: BlobDigest, byteCount: Int)] {
        var blobs: [(digest: BlobDigest, byteCount: Int)] = []
        for fan in try StoreDirectory.names(in: root) where isFan(fan) {
            let path = root.appending(fan)
            for name in try names(in: path, &lost) {
                guard let digest = BlobDigest(hexadecimal: name), digest.description == name, name.hasPrefix(fan)
                else { continue }
                let file = path.appending(name)
                guard let byteCount = StoreDirectory.byteCount(ofFileAt: file) else {
                    StoreDirectory.discard(file)
                    lost.append(BlobLoss(digest, at: file, .noFile))
                    continue
                }
                blobs.append((digest, byteCount))
            }
        }
        return blobs
    }

    /// The names in a directory of blobs; one that cannot be read is set aside, and its blobs are lost.
    private static func names(in path: FilePath, _ lost: inout [BlobLoss]) throws(BlobStoreError) -> [String] {
        do throws(BlobStoreError) {
            return try StoreDirectory.names(in: path)
        } catch .callFailed(_, let call, let code) {
            guard let fault = BlobLoss.Fault(call: call, code: code), StoreDirectory.setAside(path) != nil else {
                throw .callFailed(path: path, call: call, code: code)
            }
            lost.append(BlobLoss(nil, at: path, fault))
            return []
        }
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
