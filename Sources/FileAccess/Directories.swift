public import Glibc
public import SystemPackage

/// Directories as a whole.
public enum Directories {
    /// Whether a path exists; a link counts even when its target does not exist.
    public static func exists(_ path: FilePath) -> Bool {
        var status = stat()
        return unsafe path.withPlatformString { unsafe lstat($0, &status) } == 0
    }

    /// Makes a directory and its missing parents; an existing directory is left unchanged.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - mode: Its permissions, less the process's mask; the parents get the usual ones.
    ///   - isDurable: Whether the new names must survive a crash of the machine, if the file system can do that.
    ///   - setting: The setting that named the place, for the message.
    /// - Returns: The directories that were made, the outermost first.
    /// - Throws: ``FileAccessError`` about the first directory that cannot be made. The directories that were made are
    ///   removed.
    @discardableResult
    public static func create(
        _ path: FilePath, mode: mode_t = 0o777, isDurable: Bool = false, setting: String? = nil
    ) throws(FileAccessError) -> [FilePath] {
        var made: [FilePath] = []
        var code = make(path, mode)
        let parent = path.removingLastComponent()
        if code == .noSuchFileOrDirectory, !parent.isEmpty, parent != path {
            made = try create(parent, isDurable: isDurable, setting: setting)
            // Retry only once: some file systems report this error even when the parents exist.
            code = make(path, mode)
        }
        guard let code else {
            if isDurable { try? synchronize(parent.isEmpty ? "." : parent) }
            return made + [path]
        }
        if code == .fileExists, isDirectory(path) { return made }
        removeEmpty(made)
        throw FileAccessError(
            path, "the directory cannot be made", code == .fileExists ? whatStands(at: path) : code, setting: setting)
    }

    /// The error for a directory's name that is taken by a file, or by a link that leads nowhere or in a circle.
    private static func whatStands(at path: FilePath) -> Errno {
        var status = stat()
        guard unsafe path.withPlatformString({ unsafe stat($0, &status) }) != 0 else { return .notDirectory }
        return Errno(rawValue: errno)
    }

    private static func make(_ path: FilePath, _ mode: mode_t) -> Errno? {
        unsafe path.withPlatformString { unsafe mkdir($0, mode) } == 0 ? nil : Errno(rawValue: errno)
    }

    /// Whether a path leads to a directory.
    public static func isDirectory(_ path: FilePath) -> Bool {
        var status = stat()
        return unsafe path.withPlatformString { unsafe stat($0, &status) } == 0
            && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Whether this user may create files in a directory.
    public static func isWritable(_ path: FilePath) -> Bool {
        unsafe path.withPlatformString { unsafe access($0, W_OK | X_OK) } == 0
    }

    /// Proves that this process can write in a directory, by a file that it removes again.
    ///
    /// - Parameters:
    ///   - path: The directory.
    ///   - setting: The setting that named the place, for the message.
    /// - Throws: ``FileAccessError`` about the directory.
    public static func requireWriting(in path: FilePath, setting: String? = nil) throws(FileAccessError) {
        let probe = path.appending(".kfacd-probe-\(getpid())")
        do {
            let file = try FileDescriptor.open(
                probe, .writeOnly, options: [.create, .truncate, .closeOnExec, .noFollow], permissions: .ownerReadWrite)
            defer { _ = unsafe probe.withPlatformString { unsafe unlink($0) } }
            // A full disk still takes an empty file.
            try file.closeAfter { _ = try file.writeAll([UInt8](repeating: 0, count: 4096)) }
        } catch {
            throw FileAccessError(
                path, "nothing can be written in it", error as? Errno ?? .ioError, setting: setting)
        }
    }

    /// Removes a file, a link itself, or a directory with its contents; does nothing when the path does not exist.
    ///
    /// - Parameters:
    ///   - path: The path to remove.
    ///   - stops: Called before each file, because removing thousands of files takes a slow disk a while.
    /// - Throws: ``FileAccessError`` about the first path that cannot be removed, or that was left because `stops` said
    ///   so; what was removed before stays removed.
    public static func remove(_ path: FilePath, until stops: () -> Bool = { false }) throws(FileAccessError) {
        if stops() { throw FileAccessError(path, "its removal was interrupted", .interrupted) }
        if unsafe path.withPlatformString({ unsafe unlink($0) }) == 0 { return }
        let code = Errno(rawValue: errno)
        if code == .noSuchFileOrDirectory { return }
        // For a directory, Linux reports EISDIR; other systems report EPERM.
        guard code == .isDirectory || code == .notPermitted else {
            throw FileAccessError(path, "it cannot be removed", code)
        }
        var failure: FileAccessError?
        for name in try names(in: path) {
            do throws(FileAccessError) {
                try remove(path.appending(name.components), until: stops)
            } catch {
                guard error.code != .interrupted else { throw error }
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        guard unsafe path.withPlatformString({ unsafe rmdir($0) }) == 0 || errno == ENOENT else {
            throw FileAccessError(path, "the directory cannot be removed", Errno(rawValue: errno))
        }
    }

    /// Removes the empty ones of the directories, the innermost first.
    public static func removeEmpty(_ directories: [FilePath]) {
        for directory in directories.sorted(by: { $0.components.count > $1.components.count }) {
            _ = unsafe directory.withPlatformString { unsafe rmdir($0) }
        }
    }

    /// Gives a file or directory another name in the same file system; a file of that name is replaced.
    ///
    /// - Throws: ``FileAccessError``; both names are then as before.
    public static func rename(_ path: FilePath, to new: FilePath) throws(FileAccessError) {
        guard
            unsafe path.withPlatformString({ from in unsafe new.withPlatformString { unsafe Glibc.rename(from, $0) } })
                == 0
        else { throw FileAccessError(path, "it cannot be renamed", Errno(rawValue: errno)) }
    }

    /// Makes the names in a directory durable.
    ///
    /// - Throws: ``FileAccessError``.
    public static func synchronize(_ path: FilePath) throws(FileAccessError) {
        do {
            try FileDescriptor.synchronize(directory: path)
        } catch {
            throw FileAccessError(path, "the names in it cannot be made durable", error)
        }
    }

    /// All entries below a directory, without following links: relative paths, sorted, parents before children.
    ///
    /// Names that are not UTF-8 are left out, since no file of ours has one.
    public static func entries(below directory: FilePath) -> [(path: String, status: FileStatus)] {
        var found: [(path: String, status: FileStatus)] = []
        var open = [FilePath("")]
        while let place = open.popLast() {
            for name in (try? FileRoots.unlimited.names(in: directory.pushing(place))) ?? [] {
                let path = place.appending(name)
                guard let status = FileStatus(of: directory.pushing(path)) else { continue }
                found.append((path.string, status))
                if status.kind == .directory { open.append(path) }
            }
        }
        return found.sorted { $0.path < $1.path }
    }

    /// The names in a directory, of any bytes, in no order, without `.` and `..`.
    ///
    /// - Throws: ``FileAccessError``.
    public static func names(in directory: FilePath) throws(FileAccessError) -> [FilePath] {
        guard let stream = unsafe directory.withPlatformString({ unsafe opendir($0) }) else {
            throw FileAccessError(directory, "the directory cannot be listed", Errno(rawValue: errno))
        }
        defer { unsafe closedir(stream) }
        var names: [FilePath] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) {
                    unsafe FilePath(platformString: $0)
                }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
