import FileAccess
import Glibc
import Hashing
public import Identifiers
import SystemPackage

/// The names below a store's directory.
struct BlobStoreLayout: Sendable {
    let directory: FilePath
    /// The parent of the directories of ``durable(_:)``.
    let durableRoot: FilePath
    /// The same for ``pending(_:)``.
    let pendingRoot: FilePath
    /// The directory of the segments.
    let smallRoot: FilePath
    private let incomingRoot: FilePath

    private static let fanDigits = 2
    private static let segmentNumberMax = 1 << 52
    private static let hexadecimalDigits = "0123456789abcdef"

    init(directory: FilePath) {
        self.directory = directory
        durableRoot = directory.appending("durable")
        pendingRoot = directory.appending("pending")
        smallRoot = directory.appending("small")
        incomingRoot = directory.appending("incoming")
    }

    func durable(_ digest: BlobDigest) -> FilePath { Self.path(of: digest, below: durableRoot) }
    func pending(_ digest: BlobDigest) -> FilePath { Self.path(of: digest, below: pendingRoot) }

    /// A new name for bytes with an unknown digest.
    func newIncoming() -> FilePath {
        incomingRoot.appending(String(UInt64.random(in: .min ... .max), radix: 16))
    }

    /// Two hexadecimal digits spread the names over 256 directories, so that none becomes too large for the file
    /// system.
    ///
    /// Each directory is made with its first blob. The text is built in one step, because each operation on a path's
    /// components scans all of them, and each blob needs several paths.
    private static func path(of digest: BlobDigest, below root: FilePath) -> FilePath {
        let name = digest.description
        return FilePath("\(root.string)/\(name.prefix(fanDigits))/\(name)")
    }

    /// The directory of a blob's file in one of the parts.
    func fan(of digest: BlobDigest, below root: FilePath) -> FilePath {
        FilePath("\(root.string)/\(digest.description.prefix(Self.fanDigits))")
    }

    /// Makes the directories of each part, and makes directories durable that an earlier process left undurable.
    ///
    /// Anything else that has one of these names is set aside.
    func createDirectories(isDurable: Bool) throws(BlobStoreError) {
        for path in [incomingRoot, pendingRoot, durableRoot, smallRoot] {
            if Directories.exists(path), !Directories.isDirectory(path) { _ = StoreDirectory.setAside(path) }
            try StoreDirectory.create(path)
        }
        guard isDurable else { return }
        try StoreDirectory.synchronize(durableRoot)
        try StoreDirectory.synchronize(smallRoot)
        try StoreDirectory.synchronize(directory)
    }

    /// Refuses a directory of another version.
    ///
    /// States this version where none is stated or the statement is damaged, because blobs verify themselves.
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
        } catch .file(.diskFull) {
            // There may be room later; the next opening states the version.
            StoreDirectory.discard(written)
            return
        }
        try StoreDirectory.rename(written, to: path)
    }

    private func statedFormat(at path: FilePath) -> String? {
        guard let file = try? StoreFile(opening: path, flags: O_RDONLY) else { return nil }
        let bytes = (try? file.bytes(at: 0, count: 100)) ?? []
        return String(decoding: bytes.prefix { $0 != 0x0A }, as: UTF8.self)
    }

    func removeIncoming() throws(BlobStoreError) {
        for name in try StoreDirectory.names(in: incomingRoot) { StoreDirectory.discard(incomingRoot.appending(name)) }
    }

    func durableBlobs(_ lost: inout [BlobLoss]) throws(BlobStoreError) -> [(digest: BlobDigest, byteCount: Int)] {
        try Self.blobs(below: durableRoot, &lost)
    }

    /// Blobs that were finished but not durable when the store was last closed.
    ///
    /// They are hashed again, and removed if they do not match their names.
    ///
    /// Such a mismatch is not a loss by the disk: a power failure may have taken the bytes.
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
        } catch .file(.callFailed(_, let call, let code)) where BlobLoss.Fault(call: call, code: code) != nil {
            return nil
        }
    }

    /// The numbers of the segments, in order.
    ///
    /// Anything with a segment's name that is no file is removed. Names that no store comes to are of others.
    func segmentNumbers(_ lost: inout [BlobLoss]) throws(BlobStoreError) -> [Int] {
        var numbers: [Int] = []
        for name in try Self.names(in: smallRoot, &lost) {
            guard let number = Int(name), String(number) == name, (1...Self.segmentNumberMax).contains(number)
            else { continue }
            let file = smallRoot.appending(name)
            guard StoreDirectory.byteCount(ofFileAt: file) != nil else {
                StoreDirectory.discard(file)
                lost.append(BlobLoss(nil, at: file, .noFile))
                continue
            }
            numbers.append(number)
        }
        return numbers.sorted()
    }

    private static func isFan(_ name: String) -> Bool {
        name.count == fanDigits && name.allSatisfy { hexadecimalDigits.contains($0) }
    }

    /// The blobs of one part, from names and sizes.
    ///
    /// Anything with a blob's name that is not a blob is removed.
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

    /// The names in a directory of blobs.
    ///
    /// An unreadable directory is set aside, and its blobs are lost.
    private static func names(in path: FilePath, _ lost: inout [BlobLoss]) throws(BlobStoreError) -> [String] {
        do throws(BlobStoreError) {
            return try StoreDirectory.names(in: path)
        } catch .file(.callFailed(_, let call, let code)) {
            guard let fault = BlobLoss.Fault(call: call, code: code), StoreDirectory.setAside(path) != nil else {
                throw .file(.callFailed(file: path, call: call, code: code))
            }
            lost.append(BlobLoss(nil, at: path, fault))
            return []
        }
    }
}

extension StoreFile {
    /// The SHA-256 of a range, or of the whole file.
    ///
    /// `goesOn` is called between blocks; the result is nil when it stopped the reading.
    func digest(
        of range: Range<Int> = 0..<Int.max, while goesOn: () -> Bool = { true }
    ) throws(BlobStoreError) -> BlobDigest? {
        var hash = SHA256()
        var isStopped = false
        _ = try forEachBlock(in: range) { block, offset throws(BlobStoreError) in
            isStopped = offset > range.lowerBound && !goesOn()
            if !isStopped { hash.update(block) }
            return !isStopped
        }
        return isStopped ? nil : BlobDigest(sha256: hash.finalize())
    }
}

extension BlobDigest {
    /// The SHA-256 of bytes in memory, the name under which ``BlobStore/put(_:)`` stores them.
    public init(hashing bytes: RawSpan) {
        var hash = SHA256()
        hash.update(bytes)
        self.init(sha256: hash.finalize())
    }
}
