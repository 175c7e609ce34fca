public import SystemPackage

/// Why nothing can be written to a place, determined without writing.
public enum WriteObstacle: Equatable, Sendable, CustomStringConvertible {
    /// The kernel forbids it.
    case refused(path: FilePath, code: Errno)
    /// A link has no target.
    case danglingLink(path: FilePath, target: FilePath)
    /// A directory is expected; something else is there.
    case noDirectory(path: FilePath)
    /// A file is expected; a directory is there.
    case isDirectory(path: FilePath)
    /// A name has too many bytes for its file system.
    case nameTooLong(name: String, byteCount: Int, limit: Int)
    /// A path has too many bytes.
    case pathTooLong(path: FilePath, byteCount: Int, limit: Int)
    /// The file system is smaller than the data.
    case fileSystemTooSmall(path: FilePath, needed: UInt64, total: UInt64)
    /// The file system has too little free space now.
    case noRoom(path: FilePath, needed: UInt64, free: UInt64)
    /// The process or file system allows no file of this size.
    case fileTooLarge(name: String, byteCount: UInt64, limit: UInt64, by: String)

    /// The reason, as the end of a sentence.
    public var description: String {
        switch self {
        case .refused(let path, let code):
            "nothing can be written to \(path): \(SystemWords.text(of: code))."
        case .danglingLink(let path, let target):
            "\(path) is a link to \(target), which does not exist. Make the directory that it leads to, or remove it."
        case .noDirectory(let path): "\(path) is no directory."
        case .isDirectory(let path): "\(path) is a directory; a file belongs there."
        case .nameTooLong(let name, let byteCount, let limit):
            "the name \"\(name.prefix(40))…\" has \(byteCount) bytes; its file system allows \(limit)."
        case .pathTooLong(let path, let byteCount, let limit):
            "the path \(path.string.prefix(80))… has \(byteCount) bytes; \(limit) are allowed."
        case .fileSystemTooSmall(let path, let needed, let total):
            "the files need \(needed) bytes; the file system at \(path) has \(total) in all."
        case .noRoom(let path, let needed, let free):
            "the files need \(needed) bytes; \(free) are free at \(path)."
        case .fileTooLarge(let name, let byteCount, let limit, let by):
            "the file \(name) needs \(byteCount) bytes; \(by) allows \(limit)."
        }
    }
}

/// A file that will be written.
public struct PlannedFile: Equatable, Sendable {
    /// Its path within its job's directory.
    public let path: String
    /// Its approximate size in bytes, rather too low than too high.
    public let byteCount: UInt64

    /// Plans a file.
    public init(path: String, byteCount: UInt64) {
        self.path = path
        self.byteCount = byteCount
    }
}
