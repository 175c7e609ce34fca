import Testing

@testable import WorkerService

/// The number of bytes that a worker keeps on a disk.
struct CacheLimitTests {
    @Test func `what a user said holds, whatever the disk`() {
        #expect(CacheLimit.bytes(7).byteCount(total: 100, free: 0, held: 0) == 7)
    }

    @Test func `otherwise a quarter of the disk, or half of what is free there or held`() {
        #expect(CacheLimit.share.byteCount(total: 100, free: 90, held: 0) == 25)
        #expect(CacheLimit.share.byteCount(total: 100, free: 10, held: 0) == 5)
        #expect(CacheLimit.share.byteCount(total: 100, free: 10, held: 20) == 15)
        #expect(CacheLimit.share.byteCount(total: 100, free: 0, held: 0) == 0)
    }
}
