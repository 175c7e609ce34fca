import BlobStore
import Foundation
import Identifiers
import SystemPackage
import TestSupport
import Testing

/// A store on a disk that works.
struct BlobStoreTests {
    private let directory: TemporaryDirectory
    private var path: FilePath { FilePath(directory.path) }

    init() throws { directory = try TemporaryDirectory() }

    /// SHA-256 of "abc", FIPS 180-4.
    private let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    /// A blob that is a file.
    private let large = [UInt8](repeating: 0x61, count: 5000)
    /// SHA-256 of it, by another implementation.
    private let largeName = "c526c6222044dab5674de9c4ac7f4566ebb5e4d8bf9d8ea34c9cc8a7cc3c869c"

    /// The path of its file below one of the store's directories.
    private func largeFile(in part: String) -> String { "\(part)/\(largeName.prefix(2))/\(largeName)" }

    private func digest(_ hexadecimal: String) throws -> BlobDigest {
        try #require(BlobDigest(hexadecimal: hexadecimal))
    }

    private func bytes(_ store: BlobStore, _ digest: BlobDigest, at offset: Int = 0, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: count)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        try store.read(digest, at: offset, into: &raw)
        return bytes
    }

    private func message(_ body: () throws(BlobStoreError) -> Void) -> String? {
        do throws(BlobStoreError) {
            try body()
            return nil
        } catch {
            return error.description
        }
    }

    @Test func `bytes are stored under their SHA-256 and read back in parts`() throws {
        let store = try BlobStore(opening: path)
        let name = try store.put(Array("abc".utf8).span.bytes)
        #expect(name.description == abc)
        #expect(try bytes(store, name, count: 3) == Array("abc".utf8))
        #expect(try bytes(store, name, at: 1, count: 2) == Array("bc".utf8))
        #expect(store.byteCount(of: name) == 3)
        #expect(store.contains(name))
        #expect(store.bytesInUse == 3)
        #expect(try directory.read("small/1").suffix(3) == Array("abc".utf8))
        #expect(try store.put(large.span.bytes).description == largeName)
        #expect(try directory.read(largeFile(in: "pending")) == large)
    }

    @Test func `a blob is hashed as it is on the disk`() throws {
        let store = try BlobStore(opening: path)
        let name = try store.put(large.span.bytes)
        #expect(try store.verify(name) == true)
        let file = try #require(store.path(of: name))
        try Data("abd".utf8).write(to: URL(fileURLWithPath: file.string))
        let found = BlobDigest(hashing: Array("abd".utf8).span.bytes)
        #expect(message { () throws(BlobStoreError) in try store.verify(name) }?.contains("\(found)") == true)
        #expect(throws: BlobStoreError.missing(directory: path, digest: name)) {
            try store.verify(name)
        }
        #expect(store.path(of: name) == nil)
    }

    @Test func `hashing can be ended between blocks`() throws {
        let store = try BlobStore(opening: path)
        let name = try store.put([UInt8](repeating: 7, count: 3 << 20).span.bytes)
        var blocks = 0
        let found = try store.verify(name) {
            blocks += 1
            return blocks < 2
        }
        #expect(found == nil)
        #expect(blocks == 2)
    }

    @Test func `blobs are listed with their sizes, and the disk has room for more`() throws {
        let store = try BlobStore(opening: path)
        let name = try store.put(Array("abc".utf8).span.bytes)
        #expect(store.blobs.map(\.digest) == [name])
        #expect(store.blobs.map(\.byteCount) == [3])
        #expect(try store.freeByteCount() > 0)
    }

    @Test func `the same bytes are kept once`() throws {
        let store = try BlobStore(opening: path)
        let first = try store.put(Array("abc".utf8).span.bytes)
        let writer = store.beginWrite()
        try writer.append(Array("ab".utf8).span.bytes)
        try writer.append(Array("c".utf8).span.bytes)
        #expect(try writer.finish() == first)
        #expect(store.bytesInUse == 3)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.appending("incoming")) == [])
    }

    @Test func `a blob of no bytes is a blob`() throws {
        let store = try BlobStore(opening: path)
        let name = try store.put(RawSpan())
        #expect(name.description == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(try bytes(store, name, count: 0) == [])
    }

    @Test func `bytes of another digest are refused and removed`() throws {
        let store = try BlobStore(opening: path)
        let expected = try digest(String(repeating: "0", count: 64))
        let writer = store.beginWrite()
        try writer.append(Array("abc".utf8).span.bytes)
        #expect(
            message { () throws(BlobStoreError) in _ = try writer.finish(expecting: expected) }
                == "\(path): the bytes received have the digest \(abc); expected \(expected). Fetch them again."
        )
        #expect(store.digests == [])
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.appending("incoming")) == [])
    }

    @Test func `a dropped writer leaves nothing behind`() throws {
        let store = try BlobStore(opening: path)
        do {
            let writer = store.beginWrite()
            try writer.append(Array("abc".utf8).span.bytes)
            #expect(writer.byteCount == 3)
        }
        #expect(store.digests == [])
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.appending("incoming")) == [])
    }

    @Test func `a missing blob is named`() throws {
        let store = try BlobStore(opening: path)
        let name = try digest(abc)
        #expect(
            message { () throws(BlobStoreError) in
                var raw = MutableRawSpan()
                try store.read(name, into: &raw)
            } == "\(path): blob \(abc) is not in the store; expected it to be kept. Compute or fetch it again."
        )
        #expect(try store.remove(name) == false)
    }

    @Test func `a read outside a blob is refused`() throws {
        let store = try BlobStore(opening: path)
        let name = try store.put(Array("abc".utf8).span.bytes)
        for offset in [2, 4, -1, Int.max] {
            #expect(
                message { () throws(BlobStoreError) in
                    var bytes: [UInt8] = [0, 0]
                    var span = bytes.mutableSpan
                    var raw = span.mutableBytes
                    try store.read(name, at: offset, into: &raw)
                } == "blob \(abc): has 3 bytes; 2 bytes from byte \(offset) on are not all in it."
            )
        }
    }

    @Test func `removed blobs are gone and others stay`() throws {
        let store = try BlobStore(opening: path)
        let names = try ["abc", "d", "ef"].map { try store.put(Array($0.utf8).span.bytes) }
        try store.makeDurable()
        let last = try store.put(Array("ghij".utf8).span.bytes)
        #expect(store.bytesInUse == 10)
        #expect(try store.remove(names[1]))
        for name in store.digests where name != names[0] { #expect(try store.remove(name)) }
        #expect(store.digests == [names[0]])
        #expect(store.bytesInUse == 3)
        #expect(!store.contains(last))
        #expect(try bytes(store, names[0], count: 3) == Array("abc".utf8))
    }

    @Test func `durable blobs move and are found again`() throws {
        let name: BlobDigest
        do {
            let store = try BlobStore(opening: path)
            name = try store.put(large.span.bytes)
            try store.makeDurable()
            try store.makeDurable()
            #expect(try directory.read(largeFile(in: "durable")) == large)
            #expect(try bytes(store, name, count: 5000) == large)
        }
        let store = try BlobStore(opening: path)
        #expect(store.digests == [name])
        #expect(try bytes(store, name, at: 2, count: 1) == [0x61])
    }

    @Test func `directories are made with the first blob that needs them`() throws {
        let names = { try FileManager.default.contentsOfDirectory(atPath: self.directory.appending($0)) }
        let store = try BlobStore(opening: path)
        #expect(try names("pending") == [])
        #expect(try names("durable") == [])
        let name = try store.put(large.span.bytes)
        #expect(try names("pending") == ["c5"])
        try store.makeDurable()
        #expect(try names("durable") == ["c5"])
        // One that somebody removed behind the store's back is made again, and its blob is gone.
        try directory.remove("durable/c5")
        #expect(throws: BlobStoreError.self) { try bytes(store, name, count: 5000) }
        try store.remove(name)
        #expect(try store.put(large.span.bytes) == name)
        try store.makeDurable()
        #expect(try bytes(store, name, count: 5000) == large)
    }

    @Test func `what is no directory of blobs is left alone`() throws {
        do { _ = try BlobStore(opening: path) }
        try directory.write([1], to: "durable/notes")
        try directory.write([1], to: "pending/7")
        let store = try BlobStore(opening: path)
        #expect(store.digests == [])
        #expect(try directory.read("durable/notes") == [1])
        #expect(try directory.read("pending/7") == [1])
    }

    @Test func `after a crash whole pending blobs are kept and damaged or unfinished ones removed`() throws {
        let other = [UInt8](repeating: 0x62, count: 5000)
        do {
            let store = try BlobStore(opening: path)
            try store.put(large.span.bytes)
            try store.put(other.span.bytes)
        }
        // What a power failure leaves of a file whose bytes never reached the disk.
        let damaged = BlobDigest(hashing: other.span.bytes).description
        try directory.write([], to: "pending/\(damaged.prefix(2))/\(damaged)")
        try directory.write([1, 2], to: "incoming/17")
        let store = try BlobStore(opening: path)
        #expect(store.digests.map(\.description) == [largeName])
        #expect(store.bytesInUse == 5000)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.appending("incoming")) == [])
        try store.makeDurable()
        #expect(try directory.read(largeFile(in: "durable")) == large)
    }

    @Test func `a blob that was cut on the disk is truncated`() throws {
        let store = try BlobStore(opening: path)
        let name = try store.put(large.span.bytes)
        truncate(directory.appending(largeFile(in: "pending")), 1)
        let file = largeFile(in: "pending")
        #expect(
            message { () throws(BlobStoreError) in
                var bytes: [UInt8] = [0, 0]
                var span = bytes.mutableSpan
                var raw = span.mutableBytes
                try store.read(name, into: &raw)
            } == "\(path)/\(file): the blob has 1 bytes; expected 5000. It was removed, and is made "
                + "again when it is needed. Check the disk."
        )
    }

    @Test func `a store belongs to one process`() throws {
        let store = try BlobStore(opening: path)
        #expect(
            message { () throws(BlobStoreError) in _ = try BlobStore(opening: path) }
                == "\(path): is the blob store of another running process; expected one process a store. "
                + "Name another directory, or end the other process."
        )
        #expect(store.digests == [])
    }

    @Test func `a store that cannot be made says why`() throws {
        try directory.write([1], to: "file")
        #expect(
            message { () throws(BlobStoreError) in _ = try BlobStore(opening: path.appending("file")) }
                == "\(path)/file/incoming: the directory cannot be made: a part of the path is no directory. Correct the path."
        )
    }

    @Test func `writers, readers and a group commit may run at once`() async throws {
        let store = try BlobStore(opening: path)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<40 {
                group.addTask {
                    let content = [UInt8](repeating: UInt8(index % 20), count: 5000 + index % 20)
                    let name = try store.put(content.span.bytes)
                    var read = [UInt8](repeating: 0, count: content.count)
                    var span = read.mutableSpan
                    var raw = span.mutableBytes
                    try store.read(name, into: &raw)
                    #expect(read == content)
                    if index.isMultiple(of: 8) { try store.makeDurable() }
                }
            }
            try await group.waitForAll()
        }
        #expect(store.digests.count == 20)
        #expect(store.bytesInUse == (0..<20).reduce(0) { $0 + 5000 + $1 })
    }
}
