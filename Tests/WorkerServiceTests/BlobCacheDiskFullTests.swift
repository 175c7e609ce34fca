import Foundation
import Identifiers
import SystemPackage
import TestSupport
import Testing

@testable import WorkerService

/// A cache whose limit is larger than its disk of 8 MiB.
struct BlobCacheDiskFullTests {
    private func write(_ value: UInt8, mebibytes: Int, to cache: BlobCache) throws(BlobCacheError) -> BlobReference {
        let writer = try cache.beginWrite(byteCount: UInt64(mebibytes) << 20)
        for _ in 0..<mebibytes { try writer.append([UInt8](repeating: value, count: 1 << 20).span.bytes) }
        return try writer.finish()
    }

    @Test(.enabled(if: TemporaryDisk.isPossible, "\(TemporaryDisk.reason)"))
    func `on a full disk blobs that nobody uses give way`() throws {
        let disk = try TemporaryDisk(size: "8m")
        defer { disk.unmount() }
        let cache = try BlobCache(opening: FilePath(disk.directory.path), limit: .bytes(1 << 30))
        let idle = try write(1, mebibytes: 3, to: cache)
        let kept = try write(2, mebibytes: 3, to: cache)
        cache.unpin(idle.digest)
        let third = try TemporaryDisk.whenRoomIsBack { try write(3, mebibytes: 3, to: cache) }
        #expect(Set(cache.held) == [kept, third])
        #expect(cache.takeChanges().dropped == [idle.digest])
    }

    /// Small blobs share files, whose room comes back with the last of them.
    @Test(.enabled(if: TemporaryDisk.isPossible, "\(TemporaryDisk.reason)"))
    func `on a full disk small blobs that nobody uses give way`() throws {
        let disk = try TemporaryDisk(size: "4m")
        defer { disk.unmount() }
        let cache = try BlobCache(opening: FilePath(disk.directory.path), limit: .bytes(1 << 30))
        var latest: BlobReference?
        for number in 0..<4000 {
            let blob = try TemporaryDisk.whenRoomIsBack {
                let writer = try cache.beginWrite(byteCount: 2008)
                try writer.append([UInt8](repeating: 1, count: 2000).span.bytes)
                try writer.append([number].span.bytes)
                return try writer.finish()
            }
            cache.unpin(blob.digest)
            latest = blob
        }
        #expect(cache.held.contains(try #require(latest)))
        #expect(cache.held.count < 2000)
        #expect(cache.heldBytes > 1 << 20)
    }

    @Test(.enabled(if: TemporaryDisk.isPossible, "\(TemporaryDisk.reason)"))
    func `where all is in use a full disk is an error of its own`() throws {
        let disk = try TemporaryDisk(size: "8m")
        defer { disk.unmount() }
        let cache = try BlobCache(opening: FilePath(disk.directory.path), limit: .bytes(1 << 30))
        let kept = try write(1, mebibytes: 4, to: cache)
        var failure: BlobCacheError?
        do throws(BlobCacheError) { _ = try write(2, mebibytes: 6, to: cache) } catch { failure = error }
        guard case .noSpace(_, _, 1 << 30, let inUse, let free) = failure else {
            Issue.record("expected no space, found \(String(describing: failure))")
            return
        }
        #expect(inUse == 10 << 20)
        #expect(free < 1 << 20)
        #expect(cache.held == [kept])
        // The released writer has freed its room.
        _ = try TemporaryDisk.whenRoomIsBack { try write(3, mebibytes: 2, to: cache) }
    }

    /// No limit is set, so it is half of the free space at the opening, which is nothing here.
    @Test(.enabled(if: TemporaryDisk.isPossible, "\(TemporaryDisk.reason)"))
    func `a cache that was opened on a full disk grows when there is room`() throws {
        let disk = try TemporaryDisk(size: "8m")
        defer { disk.unmount() }
        let ballast = URL(fileURLWithPath: disk.directory.appending("ballast"))
        // There is room for the store's directories, and for no blob.
        try Data(count: (8 << 20) - (64 << 10)).write(to: ballast)
        let cache = try BlobCache(opening: FilePath(disk.directory.appending("cache")), limit: .share)
        var failure: BlobCacheError?
        do throws(BlobCacheError) { _ = try write(1, mebibytes: 1, to: cache) } catch { failure = error }
        guard case .noSpace = failure else {
            Issue.record("expected no space, found \(String(describing: failure))")
            return
        }
        try FileManager.default.removeItem(at: ballast)
        let blob = try TemporaryDisk.whenRoomIsBack { try write(1, mebibytes: 1, to: cache) }
        #expect(cache.held == [blob])
        #expect(cache.limit == 2 << 20)
        // No room that others make helps for more than a quarter.
        do throws(BlobCacheError) { _ = try write(2, mebibytes: 3, to: cache) } catch { failure = error }
        guard case .tooLarge(_, 3145728, 2097152, true) = failure else {
            Issue.record("expected too large, found \(String(describing: failure))")
            return
        }
        #expect(
            failure?.description.hasSuffix(
                "3145728 bytes never fit: the most is 2097152 bytes, a quarter of the disk. Use a larger disk (kfacctl: "
                    + "--state-directory; kfacd worker: --cache-directory), or set --cache-size of kfacd worker.")
                == true)
    }
}
