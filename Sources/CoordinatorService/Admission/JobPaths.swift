import Glibc
import SystemPackage

/// Paths of a job file, made absolute: relative ones start at the job file's directory.
struct JobPaths: Sendable {
    private let directory: FilePath

    /// Paths of the job file at an absolute path.
    init(specPath: String) {
        directory = FilePath(specPath).removingLastComponent()
    }

    /// The absolute path, without `.` and `..`; links are not resolved.
    func absolute(_ path: String) -> FilePath {
        directory.pushing(FilePath(path)).lexicallyNormalized()
    }

    /// The path with its links resolved, or as it is when it does not exist.
    static func resolved(_ path: FilePath) -> FilePath {
        guard let real = realpath(path.string, nil) else { return path }
        defer { free(real) }
        return FilePath(String(cString: real))
    }
}
