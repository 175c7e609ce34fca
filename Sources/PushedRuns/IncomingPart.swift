import FileAccess
import Glibc
import Hashing
import Identifiers
import SystemPackage

/// The bytes of a part that has not arrived as a whole; they are hashed on the way.
///
/// For one task at a time. The bytes stay when it is dropped, and the next push goes on after them.
public final class IncomingPart {
    /// Bytes that are hashed in one step when a push goes on.
    private static let stepBytes = 64 << 20
    /// Bytes after which the file is made durable, so that the last step does not take long.
    private static let durableBytes = 64 << 20

    /// The part.
    public let part: PushedPart
    let path: FilePath
    private let file: OpenedFile<FileError>
    private var hash = SHA256()
    /// Bytes that were there when the push went on.
    private let present: UInt64
    private var durable: UInt64
    /// Bytes that have arrived and are hashed.
    public private(set) var arrived: UInt64 = 0

    /// Opens the bytes that are there.
    ///
    /// - Throws: `FileError`; what is there stays.
    init(_ part: PushedPart, at path: FilePath) throws(FileError) {
        self.part = part
        self.path = path
        file = try OpenedFile(opening: path, flags: O_RDWR | O_CREAT)
        var size = UInt64(try file.byteCount())
        if size > part.content.byteCount {
            try file.resize(to: 0)
            size = 0
        }
        (present, durable) = (size, size)
    }

    /// Whether all bytes that were there are hashed, so that more may follow.
    public var isReady: Bool { arrived >= present }
    /// Whether all bytes have arrived.
    public var isWhole: Bool { arrived == part.content.byteCount }

    /// Hashes some of the bytes that were there.
    ///
    /// - Throws: ``RunStoreError/file(_:)``; the push cannot go on.
    public func readOn() throws(RunStoreError) {
        do throws(FileError) {
            let end = min(present, arrived + UInt64(Self.stepBytes))
            while arrived < end {
                let bytes = try file.bytes(at: Int(arrived), count: Int(min(end - arrived, 1 << 20)))
                guard !bytes.isEmpty else { throw FileError(call: "pread", path: path, code: .ioError) }
                hash.update(bytes)
                arrived += UInt64(bytes.count)
            }
        } catch {
            throw .file(error)
        }
    }

    /// Appends bytes, which must not exceed the announced ones.
    ///
    /// - Throws: ``RunStoreError/file(_:)``; the same bytes may be appended again.
    public func append(_ bytes: RawSpan) throws(RunStoreError) {
        let room = part.content.byteCount - arrived
        precondition(isReady && UInt64(bytes.byteCount) <= room, "the caller checks the range")
        do throws(FileError) {
            try file.write(bytes, at: Int(arrived))
            hash.update(bytes)
            arrived += UInt64(bytes.byteCount)
            if arrived - durable >= Self.durableBytes { try makeDurable() }
        } catch {
            throw .file(error)
        }
    }

    /// Makes the bytes that have arrived durable.
    ///
    /// - Throws: `FileError`; some may not be durable.
    func makeDurable() throws(FileError) {
        try file.synchronize()
        durable = arrived
    }

    /// The digest of the bytes that have arrived.
    var digest: BlobDigest { BlobDigest(sha256: hash.finalize()) }
}
