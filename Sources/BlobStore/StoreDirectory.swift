import FileAccess
import Glibc
import SystemPackage

/// Calls on names instead of open files.
enum StoreDirectory {
    /// Makes a directory and its missing parents; an existing one is accepted.
    static func create(_ path: FilePath) throws(BlobStoreError) {
        do throws(FileAccessError) { try Directories.create(path) } catch {
            throw BlobStoreError(error)
        }
    }

    /// The names in a directory, sorted; none if it does not exist.
    static func names(in directory: FilePath) throws(BlobStoreError) -> [String] {
        do throws(FileAccessError) {
            return try Directories.names(in: directory).map(\.string).sorted()
        } catch {
            if error.code == .noSuchFileOrDirectory { return [] }
            throw BlobStoreError(call: "opendir", path: directory, code: error.code)
        }
    }

    static func rename(_ source: FilePath, to destination: FilePath) throws(BlobStoreError) {
        let result = source.withPlatformString { from in
            destination.withPlatformString { to in Glibc.rename(from, to) }
        }
        guard result == 0 else { throw callFailed("rename", destination) }
    }

    /// Renames into a directory; makes and counts the directory when it is missing.
    static func rename(
        _ source: FilePath, to destination: FilePath, in directory: @autoclosure () -> FilePath,
        countingMade count: inout Int
    ) throws(BlobStoreError) {
        do throws(BlobStoreError) {
            try rename(source, to: destination)
        } catch .file(.callFailed(_, _, .noSuchFileOrDirectory)) {
            try create(directory())
            count += 1
            try rename(source, to: destination)
        }
    }

    /// Removes a file; false if it did not exist.
    static func remove(_ path: FilePath) throws(BlobStoreError) -> Bool {
        guard path.withPlatformString({ unlink($0) }) != 0 else { return true }
        guard errno == ENOENT else { throw callFailed("unlink", path) }
        return false
    }

    /// The size of a regular file; `nil` for anything else.
    static func byteCount(ofFileAt path: FilePath) -> Int? {
        guard let status = FileStatus(of: path), status.kind == .file else { return nil }
        return Int(status.byteCount)
    }

    /// Removes anything that has one of our names, including a directory's contents.
    ///
    /// What cannot be removed is renamed, so that the name is free.
    static func discard(_ path: FilePath) {
        if path.withPlatformString({ unlink($0) }) == 0 || errno == ENOENT { return }
        for name in (try? names(in: path)) ?? [] { discard(path.appending(name)) }
        if path.withPlatformString({ rmdir($0) }) == 0 { return }
        _ = setAside(path)
    }

    /// Renames an unreadable file or directory within its parent.
    ///
    /// - Returns: Its new name, or `nil` when the renaming failed too.
    static func setAside(_ path: FilePath) -> FilePath? {
        let mark = String(UInt32.random(in: .min ... .max), radix: 16)
        let aside = FilePath("\(path.string).damaged-\(mark)")
        return (try? rename(path, to: aside)) == nil ? nil : aside
    }

    /// Makes the names in a directory durable.
    static func synchronize(_ path: FilePath) throws(BlobStoreError) {
        do throws(Errno) { try FileDescriptor.synchronize(directory: path) } catch {
            throw BlobStoreError(call: "fsync", path: path, code: error)
        }
    }

    /// The size of a directory's file system in bytes, and its free bytes for this process.
    static func byteCounts(_ path: FilePath) throws(BlobStoreError) -> (total: UInt64, free: UInt64) {
        do throws(FileError) {
            let room = try FileSystemRoom(of: path)
            return (room.total, room.free)
        } catch {
            throw BlobStoreError(error)
        }
    }
}
