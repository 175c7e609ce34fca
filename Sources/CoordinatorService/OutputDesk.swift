import FileAccess
import Foundation
import Lanes
import SystemPackage
import WireProtocol
import ZeroMQ

/// Lists and reads the files of finished jobs, on a thread of its own, since disks may be slow and trees large.
actor OutputDesk {
    /// Most bytes of a file in one reply.
    private static let chunkBytes: UInt64 = 4 << 20

    private let lane = Lane("kfacd.outputs")
    private let roots: FileRoots

    init(roots: FileRoots) {
        self.roots = roots
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    /// The files below an output directory, without those that a job is still writing.
    func files(in directory: FilePath) -> [OutputFile] {
        DirectoryTree.files(below: directory, where: Self.isPublished).map {
            OutputFile(path: $0.path, byteCount: $0.byteCount)
        }
    }

    /// Some bytes of a file that ``files(in:)`` names, or `nil` for another: a client cannot walk out of the directory.
    ///
    /// - Throws: `FileRootsError` or `Errno` when it cannot be read.
    func bytes(
        of path: String, in directory: FilePath, offset: UInt64, byteCount: UInt64
    ) throws -> Frame? {
        guard let file = Self.file(path, in: directory) else { return nil }
        let descriptor = try roots.open(file)
        return try descriptor.closeAfter {
            var bytes = [UInt8](repeating: 0, count: Int(min(byteCount, Self.chunkBytes)))
            let count = try bytes.withUnsafeMutableBytes {
                try descriptor.read(fromAbsoluteOffset: Int64(clamping: offset), into: $0)
            }
            return Frame(Array(bytes.prefix(count)))
        }
    }

    /// Where a file lies that is one, below real directories only, as the listing would find it.
    private static func file(_ path: String, in directory: FilePath) -> FilePath? {
        let relative = FilePath(path)
        guard relative.isRelative, relative.string == path, isPublished(relative.components),
            relative.components.allSatisfy({ $0.kind == .regular })
        else { return nil }
        var place = directory
        for (index, component) in relative.components.enumerated() {
            place.append(component)
            let expected: FileAttributeType = index + 1 < relative.components.count ? .typeDirectory : .typeRegular
            guard DirectoryTree.kind(of: place)?.type == expected else { return nil }
        }
        return relative.isEmpty ? nil : place
    }

    /// Whether a path is none of a staging directory.
    private static func isPublished(_ components: FilePath.ComponentView) -> Bool {
        !components.contains { $0.string.hasPrefix(OutputDirectory.stagingPrefix) }
    }
}
