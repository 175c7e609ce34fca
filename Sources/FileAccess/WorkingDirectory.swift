import Glibc
public import SystemPackage

/// The directory at which relative paths begin, at any depth.
public enum WorkingDirectory {
    /// The longest path that is requested, in bytes.
    ///
    /// The kernel reports paths up to `PATH_MAX`; the C library, longer ones.
    private static let byteCountMax = 1 << 16

    /// Its path.
    ///
    /// - Throws: ``FileAccessError`` when the directory was removed, or when the user may not read its path.
    public static func path() throws(FileAccessError) -> FilePath {
        var bytes = [CChar](repeating: 0, count: byteCountMax)
        guard unsafe getcwd(&bytes, bytes.count) != nil else {
            throw FileAccessError(".", "the working directory is not known", Errno(rawValue: errno))
        }
        return FilePath(platformString: bytes)
    }

    /// An absolute path without `.` and `..`; a relative path begins at the working directory.
    ///
    /// - Throws: ``FileAccessError`` when the path is relative and the working directory is not known.
    public static func absolute(_ path: FilePath) throws(FileAccessError) -> FilePath {
        guard path.isRelative else { return path.lexicallyNormalized() }
        return try self.path().pushing(path).lexicallyNormalized()
    }
}

extension FilePath {
    /// Whether the path's bytes are UTF-8.
    ///
    /// Only then can it be sent, or written into a report, as text.
    public var isText: Bool { FilePath(string) == self }
}
