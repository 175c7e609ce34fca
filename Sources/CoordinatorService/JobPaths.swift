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

    /// The files that a pattern names, sorted by name; a path without wildcards is itself, whether it exists or not.
    func matches(_ pattern: String) -> [FilePath] {
        let path = absolute(pattern)
        guard pattern.contains(where: { "*?[".contains($0) }) else { return [path] }
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(path.string, 0, nil, &found) == 0, let entries = found.gl_pathv else { return [] }
        return (0..<Int(found.gl_pathc)).compactMap { entries[$0].map { FilePath(String(cString: $0)) } }
    }

    /// The directory in which a pattern is looked for, or the path itself when it holds no wildcards.
    func searched(_ pattern: String) -> FilePath {
        let path = absolute(pattern)
        guard let wildcard = path.components.firstIndex(where: { $0.string.contains { "*?[".contains($0) } }) else {
            return path
        }
        return FilePath(root: path.root, path.components[..<wildcard])
    }

    /// The path with its links resolved, or as it is when it does not exist.
    static func resolved(_ path: FilePath) -> FilePath {
        guard let real = realpath(path.string, nil) else { return path }
        defer { free(real) }
        return FilePath(String(cString: real))
    }
}
