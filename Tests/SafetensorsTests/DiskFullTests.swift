import FileAccess
import Foundation
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// A disk of 64 KiB.
struct DiskFullTests {
    static func run(_ arguments: String...) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    /// Mounting needs rights that a build machine may not have.
    static let canMount: Bool = {
        guard let directory = try? TemporaryDirectory(),
            run("mount", "-t", "tmpfs", "-o", "size=64k", "kfacd-test", directory.path)
        else { return false }
        return run("umount", directory.path)
    }()

    @Test(.enabled(if: canMount, "mounting a tmpfs needs root"))
    func `a full disk has an error of its own and the write may be tried again`() throws {
        let directory = try TemporaryDirectory()
        try #require(Self.run("mount", "-t", "tmpfs", "-o", "size=64k", "kfacd-test", directory.path))
        defer { _ = Self.run("umount", directory.path) }
        let path = FilePath(directory.appending("x.safetensors"))
        let ballast = try directory.write([UInt8](repeating: 1, count: 40_000), to: "ballast")
        let tensor = TensorDescription(name: "t", dataType: .uint8, shape: [40_000])
        let writer = try SafetensorsWriter(path: path, tensors: [tensor])
        let bytes = [UInt8](repeating: 2, count: 40_000)
        #expect(
            errorMessage { () throws(SafetensorsError) in try writer.write(bytes.span.bytes, to: "t") }
                == "\(path): pwrite failed: no space is left on the disk or in the quota. Make room and try again."
        )
        try FileManager.default.removeItem(atPath: ballast)
        try writer.write(bytes.span.bytes, to: "t")
        try writer.finish()
        #expect(try SafetensorsFile(opening: path).bytes(of: "t", count: 40_000) == bytes)
    }
}
