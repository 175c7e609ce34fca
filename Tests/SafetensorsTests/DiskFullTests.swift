import FileAccess
import Foundation
import Safetensors
import SystemPackage
import TestSupport
import Testing

/// A disk of 64 KiB.
struct DiskFullTests {
    @Test(.enabled(if: TemporaryDisk.isPossible, "\(TemporaryDisk.reason)"))
    func `a full disk has an error of its own and the write may be tried again`() throws {
        let disk = try TemporaryDisk(size: "64k")
        defer { disk.unmount() }
        let directory = disk.directory
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
        try TemporaryDisk.whenRoomIsBack { try writer.write(bytes.span.bytes, to: "t") }
        try writer.finish()
        #expect(try SafetensorsFile(opening: path).bytes(of: "t", count: 40_000) == bytes)
    }
}
