import FileAccess
import Glibc
import Safetensors
public import SystemPackage

/// Directories as a whole: what swift-system does not offer.
public enum DirectoryTree {
    /// Whether something is there, be it a link that leads nowhere.
    public static func exists(_ path: FilePath) -> Bool { FileStatus(of: path) != nil }

    /// Makes a directory and those above it that are not there.
    ///
    /// - Returns: What was made, from the outermost on.
    /// - Throws: ``PublicationError/callFailed(path:call:code:)``; what was made is removed again.
    static func create(_ path: FilePath) throws(PublicationError) -> [FilePath] {
        var missing: [FilePath] = []
        var place = path
        while !place.isEmpty, FileStatus(of: place, followsLinks: true) == nil, place.lastComponent != nil {
            missing.append(place)
            place.removeLastComponent()
        }
        var made: [FilePath] = []
        for directory in missing.reversed() {
            guard directory.withPlatformString({ mkdir($0, 0o777) }) != 0 else {
                made.append(directory)
                try? synchronize(directory.removingLastComponent())
                continue
            }
            let code = Errno(rawValue: errno)
            // Somebody else made it meanwhile.
            if code == .fileExists, FileStatus(of: directory, followsLinks: true)?.kind == .directory { continue }
            removeEmpty(made)
            throw .callFailed(path: directory, call: "mkdir", code: code)
        }
        return made
    }

    /// Removes directories that are empty, the innermost first.
    static func removeEmpty(_ directories: [FilePath]) {
        for directory in directories.sorted(by: { $0.components.count > $1.components.count }) {
            _ = directory.withPlatformString { rmdir($0) }
        }
    }

    /// Removes a file, or a directory with everything in it; links are removed and not followed.
    ///
    /// - Throws: ``PublicationError/callFailed(path:call:code:)`` of the first thing that cannot be removed; the others
    ///   are gone.
    public static func remove(_ path: FilePath) throws(PublicationError) {
        guard let status = FileStatus(of: path) else { return }
        var failure: PublicationError?
        if status.kind == .directory {
            for name in (try? WholeFile.names(in: path)) ?? [] {
                do throws(PublicationError) { try remove(path.appending(name)) } catch { failure = failure ?? error }
            }
        }
        let result = path.withPlatformString { status.kind == .directory ? rmdir($0) : unlink($0) }
        let code = Errno(rawValue: errno)
        if let failure { throw failure }
        guard result == 0 else { throw .callFailed(path: path, call: "remove", code: code) }
    }

    /// Makes the names in a directory durable.
    ///
    /// - Throws: ``PublicationError/callFailed(path:call:code:)``.
    public static func synchronize(_ path: FilePath) throws(PublicationError) {
        do {
            try FileDescriptor.synchronize(directory: path)
        } catch {
            throw .callFailed(path: path, call: "fsync", code: error)
        }
    }

    /// Everything below a directory, links not followed: paths within it, sorted, parents before children.
    public static func entries(below directory: FilePath) -> [(path: String, status: FileStatus)] {
        var found: [(path: String, status: FileStatus)] = []
        var open = [FilePath("")]
        while let place = open.popLast() {
            let names = (try? WholeFile.names(in: directory.pushing(place))) ?? []
            for name in names {
                let path = place.appending(name)
                guard let status = FileStatus(of: directory.pushing(path)) else { continue }
                found.append((path.string, status))
                if status.kind == .directory { open.append(path) }
            }
        }
        return found.sorted { $0.path < $1.path }
    }
}
