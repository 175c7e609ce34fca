public import SystemPackage

/// A failed operation on a file or directory, as a sentence for the person who must act.
public struct FileAccessError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file or directory.
    public let path: FilePath
    /// The operation that failed, as in `the directory cannot be made`.
    public let problem: String
    /// What the system reported.
    public let code: Errno
    /// The setting that named the path, such as `--state-directory`; `nil` for none.
    public let setting: String?

    /// Names a failure.
    public init(_ path: FilePath, _ problem: String, _ code: Errno, setting: String? = nil) {
        self.path = path
        self.problem = problem
        self.code = code
        self.setting = setting
    }

    /// Path, problem, the system's error, and the remedy.
    public var description: String {
        "\(path): \(problem): \(SystemWords.sentence(on: code, setting: setting))"
    }
}
