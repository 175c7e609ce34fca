import Foundation
import Glibc
import SystemPackage

/// Directories as a whole: what swift-system does not offer.
enum DirectoryTree {
    /// Whether something is there.
    static func exists(_ path: FilePath) -> Bool {
        FileManager.default.fileExists(atPath: path.string)
    }

    /// The nearest thing above a path that exists, when no directory can be made in it.
    static func obstacle(toMaking path: FilePath) -> FilePath? {
        var ancestor = path.removingLastComponent()
        while !exists(ancestor), !ancestor.components.isEmpty { ancestor.removeLastComponent() }
        var isDirectory = ObjCBool(false)
        let isThere = FileManager.default.fileExists(atPath: ancestor.string, isDirectory: &isDirectory)
        let isUsable = isThere && isDirectory.boolValue && FileManager.default.isWritableFile(atPath: ancestor.string)
        return isUsable ? nil : ancestor
    }

    /// Makes a directory and all that lie above it.
    ///
    /// - Throws: `CocoaError`.
    static func create(_ path: FilePath) throws {
        try FileManager.default.createDirectory(atPath: path.string, withIntermediateDirectories: true)
    }

    /// Removes a file, or a directory with everything in it; nothing when it is not there.
    ///
    /// - Throws: `CocoaError`.
    static func remove(_ path: FilePath) throws {
        guard exists(path) else { return }
        try FileManager.default.removeItem(atPath: path.string)
    }

    /// Gives a file or directory another name on the same file system.
    ///
    /// - Throws: `CocoaError`.
    static func move(_ source: FilePath, to destination: FilePath) throws {
        try FileManager.default.moveItem(atPath: source.string, toPath: destination.string)
    }

    /// Makes the names in a directory durable.
    ///
    /// - Throws: `Errno`.
    static func synchronize(_ path: FilePath) throws {
        let descriptor = try FileDescriptor.open(path, .readOnly)
        try descriptor.closeAfter {
            guard fsync(descriptor.rawValue) == 0 else { throw Errno(rawValue: errno) }
        }
    }

    /// The files below a directory, as paths within it, sorted; with their sizes.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - isIncluded: Of the components of a path within it: whether it is looked at.
    /// - Returns: Paths and sizes in bytes.
    static func files(
        below path: FilePath, where isIncluded: (FilePath.ComponentView) -> Bool
    ) -> [(path: String, byteCount: UInt64)] {
        guard let walk = FileManager.default.enumerator(atPath: path.string) else { return [] }
        let names = walk.compactMap { $0 as? String }.filter { isIncluded(FilePath($0).components) }
        return names.sorted().compactMap { name in
            guard case (.typeRegular, let size)? = kind(of: path.appending(name)) else { return nil }
            return (name, size)
        }
    }

    /// What lies at a path, links not followed, and its size; `nil` when nothing does.
    static func kind(of path: FilePath) -> (type: FileAttributeType, byteCount: UInt64)? {
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: path.string),
            let type = attributes[.type] as? FileAttributeType, let size = attributes[.size] as? UInt64
        else { return nil }
        return (type, size)
    }
}
