import Glibc
public import SystemPackage

/// The directory that relative paths begin at, however deep it lies.
public enum WorkingDirectory {
    /// The most bytes of a path that is asked for: the kernel tells those up to `PATH_MAX`, the C library longer ones.
    private static let byteCountMax = 1 << 16

    /// Its path.
    ///
    /// - Throws: ``FileAccessError`` when it was removed, or the user may not know where it lies.
    public static func path() throws(FileAccessError) -> FilePath {
        var bytes = [CChar](repeating: 0, count: byteCountMax)
        guard unsafe getcwd(&bytes, bytes.count) != nil else {
            throw FileAccessError(".", "the working directory is not known", Errno(rawValue: errno))
        }
        return FilePath(platformString: bytes)
    }

    /// A path as it is from anywhere, without `.` and `..`; a relative one begins here.
    ///
    /// - Throws: ``FileAccessError`` when it is relative and the working directory is not known.
    public static func absolute(_ path: FilePath) throws(FileAccessError) -> FilePath {
        guard path.isRelative else { return path.lexicallyNormalized() }
        return try self.path().pushing(path).lexicallyNormalized()
    }
}

extension FilePath {
    /// Whether its bytes are UTF-8: only then can it be sent, and written into a report, as a text.
    public var isText: Bool { FilePath(string) == self }
}
