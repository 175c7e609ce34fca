import Glibc
import SystemPackage

/// Calls on names rather than on open files.
enum StoreDirectory {
    /// Makes a directory; one that exists is fine.
    static func create(_ path: FilePath) throws(BlobStoreError) {
        guard path.withPlatformString({ mkdir($0, 0o777) }) != 0 else { return }
        let code = errno
        let parent = path.removingLastComponent()
        if code == ENOENT, !parent.isEmpty {
            try create(parent)
            guard path.withPlatformString({ mkdir($0, 0o777) }) == 0 else { throw callFailed("mkdir", path) }
            return
        }
        errno = code
        guard code == EEXIST else { throw callFailed("mkdir", path) }
    }

    /// The names in a directory, sorted; none if it does not exist.
    static func names(in directory: FilePath) throws(BlobStoreError) -> [String] {
        guard let stream = directory.withPlatformString({ opendir($0) }) else {
            if errno == ENOENT { return [] }
            throw callFailed("opendir", directory)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func rename(_ source: FilePath, to destination: FilePath) throws(BlobStoreError) {
        let result = source.withPlatformString { from in
            destination.withPlatformString { to in Glibc.rename(from, to) }
        }
        guard result == 0 else { throw callFailed("rename", destination) }
    }

    /// Renames into a directory that is made, and counted, when it is missing.
    static func rename(
        _ source: FilePath, to destination: FilePath, in directory: @autoclosure () -> FilePath,
        countingMade count: inout Int
    ) throws(BlobStoreError) {
        do throws(BlobStoreError) {
            try rename(source, to: destination)
        } catch .callFailed(_, _, .noSuchFileOrDirectory) {
            try create(directory())
            count += 1
            try rename(source, to: destination)
        }
    }

    /// Removes a file; false if it was not there.
    static func remove(_ path: FilePath) throws(BlobStoreError) -> Bool {
        guard path.withPlatformString({ unlink($0) }) != 0 else { return true }
        guard errno == ENOENT else { throw callFailed("unlink", path) }
        return false
    }

    /// Makes the names in a directory durable.
    static func synchronize(_ path: FilePath) throws(BlobStoreError) {
        try StoreFile(opening: path, flags: O_RDONLY | O_DIRECTORY).synchronize()
    }

    /// Bytes that are free for this process on the file system of a directory.
    static func freeByteCount(_ path: FilePath) throws(BlobStoreError) -> UInt64 {
        var status = statvfs()
        guard path.withPlatformString({ statvfs($0, &status) }) == 0 else { throw callFailed("statvfs", path) }
        let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return overflow ? .max : bytes
    }
}
