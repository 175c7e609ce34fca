import CSystemCalls
import Glibc
public import SystemPackage

/// Predicts whether a write can succeed, without creating or changing anything.
///
/// Callers that work for long before they write ask here first.
public enum WriteAccess {
    /// The most bytes of a path without its terminating zero.
    static let pathByteLimit = Int(PATH_MAX) - 1

    // MARK: - Directories and files

    /// Why no file can be created in an existing directory, or `nil`.
    public static func obstacle(toWritingIn directory: FilePath) -> WriteObstacle? {
        let place = directory.isEmpty ? FilePath(".") : directory
        guard let kind = kind(of: place) else { return .refused(path: place, code: Errno(rawValue: errno)) }
        guard kind == S_IFDIR else { return .noDirectory(path: place) }
        let result = unsafe place.withPlatformString { unsafe faccessat(AT_FDCWD, $0, W_OK | X_OK, AT_EACCESS) }
        return result == 0 ? nil : .refused(path: place, code: Errno(rawValue: errno))
    }

    /// Why a directory cannot be used, or `nil`.
    ///
    /// It need not exist: it would be created with its parents.
    ///
    /// - Parameters:
    ///   - directory: The directory; a link counts as its target.
    ///   - longest: The longest paths, within the directory, that will be written.
    /// - Returns: The first reason.
    public static func obstacle(toUsing directory: FilePath, for longest: [String] = []) -> WriteObstacle? {
        var place = directory
        var missing: [String] = []
        while kind(of: place) == nil {
            let code = Errno(rawValue: errno)
            if let target = link(at: place) {
                return code == .tooManySymbolicLinkLevels
                    ? .refused(path: place, code: code) : .danglingLink(path: place, target: target)
            }
            // Check the parents first: one may be a file, or not be readable.
            guard code == .noSuchFileOrDirectory || code == .fileNameTooLong || code == .notDirectory,
                let name = place.lastComponent
            else {
                if place.isEmpty { break }
                return .refused(path: place, code: code)
            }
            missing.append(name.string)
            place.removeLastComponent()
        }
        let existing = place.isEmpty ? FilePath(".") : place
        if let obstacle = obstacle(toWritingIn: existing) { return obstacle }
        let names = missing + longest.flatMap { FilePath($0).components.map(\.string) }
        return lengthObstacle(
            names: names, paths: [directory] + longest.map { directory.pushing(FilePath($0)) }, existing)
    }

    /// Why a file cannot be written beside its name and then renamed, or `nil`.
    ///
    /// - Parameter file: The file. An existing one would be replaced; its parents would be created.
    /// - Returns: The first reason.
    public static func obstacle(toWritingFile file: FilePath) -> WriteObstacle? {
        let directory = file.removingLastComponent()
        if let status = kind(of: file), status == S_IFDIR { return .isDirectory(path: file) }
        let name = file.lastComponent?.string ?? ""
        return obstacle(toUsing: directory.isEmpty ? FilePath(".") : directory, for: [temporaryName(of: name)])
    }

    /// A temporary name of the length that a file has while it is written: `.NAME.<16 digits>.partial`.
    public static func temporaryName(of name: String) -> String {
        ".\(name).\(String(repeating: "0", count: 16)).partial"
    }

    private static func lengthObstacle(names: [String], paths: [FilePath], _ existing: FilePath) -> WriteObstacle? {
        let known = unsafe existing.withPlatformString { unsafe pathconf($0, Int32(_PC_NAME_MAX)) }
        let limit = known > 0 ? known : Int(NAME_MAX)
        if let name = names.first(where: { $0.utf8.count > limit }) {
            return .nameTooLong(name: name, byteCount: name.utf8.count, limit: limit)
        }
        if let path = paths.first(where: { $0.string.utf8.count > pathByteLimit }) {
            return .pathTooLong(path: path, byteCount: path.string.utf8.count, limit: pathByteLimit)
        }
        return nil
    }

    // MARK: - Room

    /// Why a directory can never hold the files, even when it is emptied, or `nil`.
    ///
    /// - Parameters:
    ///   - files: All files of the write together.
    ///   - directory: The directory; its nearest existing ancestor is checked.
    /// - Returns: The first reason.
    public static func obstacle(toHolding files: [PlannedFile], in directory: FilePath) -> WriteObstacle? {
        guard let place = nearest(directory), let status = room(at: place) else { return nil }
        if let file = files.max(by: { $0.byteCount < $1.byteCount }),
            let (limit, by) = fileByteLimit(at: place), file.byteCount > limit
        {
            return .fileTooLarge(name: file.path, byteCount: file.byteCount, limit: limit, by: by)
        }
        let needed = needed(files, status.unit)
        // Some file systems do not report their size.
        guard status.total > 0, needed > status.total else { return nil }
        return .fileSystemTooSmall(path: place, needed: needed, total: status.total)
    }

    /// Why files do not fit in a directory now, though somebody may make room, or `nil`.
    public static func shortage(of files: [PlannedFile], in directory: FilePath) -> WriteObstacle? {
        guard let place = nearest(directory), let status = room(at: place), status.total > 0 else { return nil }
        let needed = needed(files, status.unit)
        return needed > status.free ? .noRoom(path: place, needed: needed, free: status.free) : nil
    }

    /// The room that files take: whole blocks, and at least one block each.
    private static func needed(_ files: [PlannedFile], _ unit: UInt64) -> UInt64 {
        let unit = max(unit, 1)
        return files.reduce(0) { sum, file in
            let blocks = max(1, file.byteCount / unit + (file.byteCount.isMultiple(of: unit) ? 0 : 1))
            let (byteCount, isTooMuch) = blocks.multipliedReportingOverflow(by: unit)
            let (total, overflow) = sum.addingReportingOverflow(byteCount)
            return overflow || isTooMuch ? .max : total
        }
    }

    /// The total bytes of a file system, its free bytes, and the bytes of one block.
    private static func room(at place: FilePath) -> (total: UInt64, free: UInt64, unit: UInt64)? {
        var status = statvfs()
        guard unsafe place.withPlatformString({ unsafe statvfs($0, &status) }) == 0 else { return nil }
        let unit = UInt64(status.f_frsize)
        // Space reserved for root is not available to others.
        let reserved = UInt64(status.f_bfree) - min(UInt64(status.f_bfree), UInt64(status.f_bavail))
        let blocks = geteuid() == 0 ? UInt64(status.f_blocks) : UInt64(status.f_blocks) - reserved
        let free = geteuid() == 0 ? UInt64(status.f_bfree) : UInt64(status.f_bavail)
        return (blocks.multipliedReportingOverflow(by: unit).partialValue, free &* unit, unit)
    }

    /// The size limit of one file, set by the process or by the file system's format, and who sets it.
    private static func fileByteLimit(at place: FilePath) -> (UInt64, String)? {
        var limits: [(UInt64, String)] = []
        var process = rlimit()
        if unsafe getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &process) == 0, process.rlim_cur != .max {
            limits.append((UInt64(process.rlim_cur), "the process's limit of a file's size (ulimit -f)"))
        }
        let fat: UInt64 = 0x4d44
        if unsafe place.withPlatformString({ unsafe kfacd_file_system_type($0) }) == fat {
            limits.append((UInt64(UInt32.max), "the file system (FAT)"))
        }
        return limits.min { $0.0 < $1.0 }
    }

    // MARK: - Looking

    private static func nearest(_ directory: FilePath) -> FilePath? {
        var place = directory
        while kind(of: place) == nil {
            guard place.lastComponent != nil else { return place.isEmpty ? FilePath(".") : nil }
            place.removeLastComponent()
        }
        return place
    }

    private static func kind(of path: FilePath) -> mode_t? {
        var status = stat()
        guard unsafe path.withPlatformString({ unsafe stat($0, &status) }) == 0 else { return nil }
        return status.st_mode & S_IFMT
    }

    private static func link(at path: FilePath) -> FilePath? {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = unsafe path.withPlatformString { unsafe readlink($0, &bytes, Int(PATH_MAX)) }
        return count > 0 ? FilePath(platformString: bytes) : nil
    }
}
