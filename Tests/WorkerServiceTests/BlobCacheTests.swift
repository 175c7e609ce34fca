import BlobStore
import Foundation
import Identifiers
import SystemPackage
import TestSupport
import Testing

@testable import WorkerService

/// A cache of 100 bytes.
struct BlobCacheTests {
    private let directory: TemporaryDirectory
    private var path: FilePath { FilePath(directory.path) }

    init() throws { directory = try TemporaryDirectory() }

    private func cache() throws -> BlobCache { try BlobCache(opening: path, limit: .bytes(100)) }

    /// A blob of 30 bytes, pinned.
    private func put(_ value: UInt8, _ cache: BlobCache, count: Int = 30) throws -> BlobReference {
        let writer = try cache.beginWrite(byteCount: UInt64(count))
        try writer.append([UInt8](repeating: value, count: count).span.bytes)
        return try writer.finish()
    }

    private func message(_ body: () throws(BlobCacheError) -> Void) -> String? {
        do throws(BlobCacheError) {
            try body()
            return nil
        } catch {
            return error.description
        }
    }

    @Test func `what was used least recently gives way before anything is written`() throws {
        let cache = try cache()
        let blobs = try [1, 2, 3].map { try put($0, cache) }
        for blob in blobs { cache.unpin(blob.digest) }
        cache.touch(blobs[0].digest)
        let writer = try cache.beginWrite(byteCount: 30)
        #expect(Set(cache.held) == [blobs[0], blobs[2]])
        #expect(cache.heldBytes == 60)
        writer.abandon()
    }

    @Test func `blobs in use do not give way`() throws {
        let cache = try cache()
        let blobs = try [1, 2, 3].map { try put($0, cache) }
        cache.unpin(blobs[2].digest)
        let fourth = try put(4, cache)
        #expect(Set(cache.held) == [blobs[0], blobs[1], fourth])
    }

    @Test func `without room nothing is evicted and the message says what there is`() throws {
        let cache = try cache()
        let kept = try put(1, cache)
        let idle = try put(2, cache)
        cache.unpin(idle.digest)
        let found = message { () throws(BlobCacheError) in _ = try cache.beginWrite(byteCount: 71) }
        let expected =
            "\(path): there is no room for 71 bytes: the limit is 100 bytes, of which 30 are in use by units under way,"
        #expect(found?.hasPrefix(expected) == true)
        #expect(found?.hasSuffix("bytes are free on the disk. Raise --cache-size, or make room.") == true)
        #expect(Set(cache.held) == [kept, idle])
    }

    @Test func `more than the limit never fits`() throws {
        let cache = try cache()
        #expect(
            message { () throws(BlobCacheError) in _ = try cache.beginWrite(byteCount: 101) }
                == "\(path): 101 bytes never fit: the most is 100 bytes. Raise --cache-size.")
        #expect(message { () throws(BlobCacheError) in _ = try cache.beginWrite(byteCount: .max) } != nil)
        #expect(message { () throws(BlobCacheError) in _ = try cache.beginWrite(byteCount: 100) } == nil)
    }

    @Test func `what is being written counts, and what is given up does not`() throws {
        let cache = try cache()
        let writer = try cache.beginWrite(byteCount: 60)
        #expect(message { () throws(BlobCacheError) in _ = try cache.beginWrite(byteCount: 60) } != nil)
        writer.abandon()
        do { _ = try cache.beginWrite(byteCount: 90) }
        _ = try put(1, cache)
        #expect(cache.heldBytes == 30)
    }

    @Test func `more bytes than announced need room as well`() throws {
        let cache = try cache()
        let writer = try cache.beginWrite(byteCount: 10)
        try writer.append([UInt8](repeating: 1, count: 90).span.bytes)
        #expect(message { () throws(BlobCacheError) in _ = try cache.beginWrite(byteCount: 11) } != nil)
        #expect(
            message { () throws(BlobCacheError) in
                try writer.append([UInt8](repeating: 1, count: 11).span.bytes)
            } != nil)
        #expect(try writer.finish().byteCount == 90)
        #expect(cache.heldBytes == 90)
    }

    @Test func `the same bytes are held once`() throws {
        let cache = try cache()
        let first = try put(1, cache)
        #expect(try put(1, cache) == first)
        #expect(cache.heldBytes == 30)
        cache.unpin(first.digest)
        // The second of the two pins still holds the blob.
        #expect(message { () throws(BlobCacheError) in _ = try cache.beginWrite(byteCount: 80) } != nil)
        cache.unpin(first.digest)
        #expect(message { () throws(BlobCacheError) in _ = try cache.beginWrite(byteCount: 80) } == nil)
    }

    @Test func `what came and went is told once`() throws {
        let cache = try cache()
        let blobs = try [1, 2, 3].map { try put($0, cache) }
        #expect(Set(cache.takeChanges().held) == Set(blobs))
        for blob in blobs { cache.unpin(blob.digest) }
        let fourth = try put(4, cache)
        let changes = cache.takeChanges()
        #expect(changes.held == [fourth])
        #expect(changes.dropped == [blobs[0].digest])
        #expect(cache.takeChanges().dropped == [])
    }

    @Test func `what went and came again has only come`() throws {
        let cache = try cache()
        let blob = try put(1, cache)
        _ = cache.takeChanges()
        cache.discard([blob.digest])
        _ = try put(1, cache)
        let changes = cache.takeChanges()
        #expect(changes.held == [blob])
        #expect(changes.dropped == [])
    }

    @Test func `a discarded blob is gone even while it is in use`() throws {
        let cache = try cache()
        let blob = try put(1, cache)
        cache.discard([blob.digest])
        #expect(cache.held == [])
        #expect(cache.heldBytes == 0)
        #expect(!cache.pin(blob))
        cache.unpin(blob.digest)
    }

    @Test func `a file that shrank is lost and told`() throws {
        let cache = try cache()
        let blob = try put(1, cache)
        _ = cache.takeChanges()
        try Data().write(to: URL(fileURLWithPath: cache.path(of: blob.digest).string))
        var bytes = [UInt8](repeating: 0, count: 30)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        var lost: BlobCacheError?
        do throws(BlobCacheError) { try cache.read(blob.digest, at: 0, into: &raw) } catch { lost = error }
        guard case .lost(.lost(let loss)) = lost, loss.fault == .size(expected: 30, found: 0) else {
            Issue.record("expected the loss, found \(String(describing: lost))")
            return
        }
        #expect(cache.takeChanges().dropped == [blob.digest])
    }

    @Test func `a cache that is opened again holds what it held, within its limit`() throws {
        var blobs: [BlobReference] = []
        do {
            let cache = try cache()
            blobs = try [1, 2, 3].map { try put($0, cache) }
            try cache.makeDurable()
        }
        #expect(try Set(BlobCache(opening: path, limit: .bytes(100)).held) == Set(blobs))
        #expect(try BlobCache(opening: path, limit: .bytes(60)).held.count == 2)
    }

    @Test func `a directory belongs to one worker`() throws {
        let first = try cache()
        #expect(
            throws: BlobCacheError.store(.inUse(directory: path)), performing: { _ = try cache() })
        _ = first.held
    }
}
