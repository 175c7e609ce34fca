import BlobStore
import FileAccess
import Foundation
import SystemPackage
import TestSupport
import Testing

/// A store on a disk of 4 MiB.
struct BlobStoreDiskFullTests {
    private static func run(_ arguments: String...) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    private static func mount(_ path: String) -> Bool {
        run("mount", "-t", "tmpfs", "-o", "size=4m", "kfacd-test", path)
    }

    /// Mounting needs rights that a build machine may not have.
    static let canMount: Bool = {
        guard let directory = try? TemporaryDirectory(), mount(directory.path) else { return false }
        return run("umount", directory.path)
    }()

    @Test(.enabled(if: canMount, "mounting a tmpfs needs root"))
    func `a full disk has an error of its own and finished blobs stay`() throws {
        let directory = try TemporaryDirectory()
        try #require(Self.mount(directory.path))
        defer { _ = Self.run("umount", "--lazy", directory.path) }
        let store = try BlobStore(opening: FilePath(directory.path))
        let kept = try store.put([UInt8](repeating: 1, count: 1 << 20).span.bytes)
        do {
            let writer = try store.beginWrite()
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
        try store.put([UInt8](repeating: 3, count: 2 << 20).span.bytes)
        #expect(store.bytesInUse == 3 << 20)
    }
}
