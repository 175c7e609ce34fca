import Glibc
public import SystemPackage

/// Makes the paths of a job file absolute; relative paths start at the job file's directory.
public struct JobPaths: Sendable {
    private let directory: FilePath

    /// Takes the absolute path of a job file.
    public init(specPath: String) {
        directory = FilePath(specPath).removingLastComponent()
    }

    /// The absolute path, without `.` and `..`; links are not resolved.
    public func absolute(_ path: String) -> FilePath {
        directory.pushing(FilePath(path)).lexicallyNormalized()
    }

    /// The path with its links resolved, or the path itself when it does not exist.
    static func resolved(_ path: FilePath) -> FilePath {
        guard let real = realpath(path.string, nil) else { return path }
        defer { free(real) }
        return FilePath(String(cString: real))
    }
}
