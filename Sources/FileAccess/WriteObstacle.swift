public import SystemPackage

/// Why nothing can be written to a place, known without trying.
public enum WriteObstacle: Equatable, Sendable, CustomStringConvertible {
    /// The kernel forbids it.
    case refused(path: FilePath, code: Errno)
    /// A link leads to nothing.
    case danglingLink(path: FilePath, target: FilePath)
    /// Something else than a directory is where one belongs.
    case noDirectory(path: FilePath)
    /// A directory is where a file belongs.
    case isDirectory(path: FilePath)
    /// A name has too many bytes for its file system.
    case nameTooLong(name: String, byteCount: Int, limit: Int)
    /// A path has too many bytes.
    case pathTooLong(path: FilePath, byteCount: Int, limit: Int)
    /// The file system is smaller than what is to be written.
    case fileSystemTooSmall(path: FilePath, needed: UInt64, total: UInt64)
    /// There is less room at the moment.
    case noRoom(path: FilePath, needed: UInt64, free: UInt64)
    /// No file may have so many bytes there.
    case fileTooLarge(name: String, byteCount: UInt64, limit: UInt64, by: String)

    /// The reason, in words that end a sentence.
    public var description: String {
        switch self {
        case .refused(let path, let code):
            "nothing can be written to \(path): \(code) (errno \(code.rawValue))."
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

/// A file that is about to be written.
public struct PlannedFile: Equatable, Sendable {
    /// Its path within the directory of its work.
    public let path: String
    /// About how many bytes it gets, rather too few than too many.
    public let byteCount: UInt64

    /// Announces a file.
    public init(path: String, byteCount: UInt64) {
        self.path = path
        self.byteCount = byteCount
    }
}
