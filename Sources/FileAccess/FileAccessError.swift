public import SystemPackage

/// Something that could not be done with a file or directory: the sentence for the person who must act.
public struct FileAccessError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What it was about.
    public let path: FilePath
    /// What could not be done, as in `the directory cannot be made`.
    public let problem: String
    /// What the system reported.
    public let code: Errno
    /// What names the place, such as `--state-directory`; `nil` when nothing does.
    public let setting: String?

    /// Names a failure.
    public init(_ path: FilePath, _ problem: String, _ code: Errno, setting: String? = nil) {
        self.path = path
        self.problem = problem
        self.code = code
        self.setting = setting
    }

    /// Path, problem, what the system said, and what helps.
    public var description: String {
        let remedy = SystemWords.remedy(for: code, setting: setting)
        return "\(path): \(problem): \(SystemWords.text(of: code)).\(remedy.isEmpty ? "" : " \(remedy)")"
    }
}
