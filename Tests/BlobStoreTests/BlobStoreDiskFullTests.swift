import BlobStore
import FileAccess
import Foundation
import SystemPackage
import TestSupport
import Testing

/// A store on a disk of 4 MiB.
struct BlobStoreDiskFullTests {
    @Test(.enabled(if: TemporaryDisk.isPossible, "\(TemporaryDisk.reason)"))
    func `a full disk has an error of its own and finished blobs stay`() throws {
        let disk = try TemporaryDisk(size: "4m")
        defer { disk.unmount() }
        let store = try BlobStore(opening: FilePath(disk.directory.path))
        let kept = try store.put([UInt8](repeating: 1, count: 1 << 20).span.bytes)
        do {
            let writer = store.beginWrite()
            let error = #expect(throws: BlobStoreError.self) {
                try writer.append([UInt8](repeating: 2, count: 8 << 20).span.bytes)
            }
            guard case .file(.diskFull(_, "pwrite")) = error else {
                Issue.record("expected diskFull, found \(String(describing: error))")
                return
            }
            #expect(error?.isRetriable == true)
            #expect(
                error?.description.hasSuffix(
                    ": pwrite failed: no space is left on the disk or in the quota. Make room and try again."
                ) == true
            )
        }
        #expect(store.digests == [kept])
        // The dropped writer has made room again.
        try TemporaryDisk.whenRoomIsBack { _ = try store.put([UInt8](repeating: 3, count: 2 << 20).span.bytes) }
        #expect(store.bytesInUse == 3 << 20)
    }
}
