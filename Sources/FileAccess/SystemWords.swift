public import SystemPackage

/// The system's errors in plain words, and their remedies.
public enum SystemWords {
    private static let texts: [Errno: String] = [
        .noSuchFileOrDirectory: "there is no such file or directory",
        .permissionDenied: "this user may not do that (permission denied)",
        .notPermitted: "this user may not do that (operation not permitted)",
        .readOnlyFileSystem: "the file system is read-only",
        .notDirectory: "a part of the path is no directory",
        .isDirectory: "it is a directory",
        .fileExists: "something of this name exists already",
        .directoryNotEmpty: "the directory is not empty",
        .fileNameTooLong: "the name or the path is too long",
        .tooManySymbolicLinkLevels: "its links lead in a circle",
        .noSpace: "no space is left on the disk",
        .diskQuotaExceeded: "the quota is used up",
        .fileTooLarge: "the file would be larger than this process, or the file system, may make it",
        .tooManyOpenFiles: "this process has too many files open",
        .tooManyOpenFilesInSystem: "the machine has too many files open",
        .resourceTemporarilyUnavailable: "a limit of processes, threads or locks is reached",
        .noMemory: "there is not enough memory",
        .ioError: "the disk or the terminal failed (input/output error)",
        .brokenPipe: "nobody reads it any more",
        .addressInUse: "another program listens there",
        .addressNotAvailable: "this machine has no such address",
        .staleNFSFileHandle: "the network file system lost it (stale handle)",
        .connectionRefused: "nobody listens there",
    ]

    /// The words for a system error.
    public static func text(of code: Errno) -> String { texts[code] ?? "\(code)" }

    /// The words for a system error, and the remedy as a second sentence.
    ///
    /// - Parameters:
    ///   - code: The system error.
    ///   - setting: The setting that named the place, such as `--state-directory`; `nil` for none.
    /// - Returns: The end of a sentence, with its full stop, and the remedy.
    public static func sentence(on code: Errno, setting: String? = nil) -> String {
        let remedy = remedy(for: code, setting: setting)
        return "\(text(of: code)).\(remedy.isEmpty ? "" : " \(remedy)")"
    }

    /// The sentence about a system call that failed.
    public static func failure(of call: String, _ code: Errno) -> String { "\(call) failed: \(sentence(on: code))" }

    /// The remedy, as a sentence; empty when the words already say it.
    ///
    /// - Parameters:
    ///   - code: The system error.
    ///   - setting: The setting that named the place, such as `--state-directory`; `nil` for none.
    /// - Returns: The sentence, or an empty text.
    public static func remedy(for code: Errno, setting: String? = nil) -> String {
        let elsewhere = setting.map { ", or name another place with \($0)" } ?? ""
        return switch code {
        case .permissionDenied, .notPermitted: "Give this user the right\(elsewhere)."
        case .readOnlyFileSystem:
            "\(setting.map { "Name another place with \($0)" } ?? "Choose another place"), or mount it for writing."
        case .notDirectory, .fileExists, .isDirectory, .tooManySymbolicLinkLevels:
            setting.map { "Name another place with \($0)." } ?? "Correct the path."
        case .noSuchFileOrDirectory: setting.map { "Make it, or correct \($0)." } ?? "Correct the path."
        case .fileNameTooLong: "Choose a shorter one\(elsewhere)."
        case .noSpace, .diskQuotaExceeded: "Make room\(elsewhere)."
        case .fileTooLarge: "Raise the limit of file sizes (ulimit -f, LimitFSIZE)\(elsewhere)."
        case .tooManyOpenFiles: DescriptorLimit.remedy
        case .resourceTemporarilyUnavailable:
            "Raise the limit of processes (ulimit -u, TasksMax, pids.max of the control group)."
        case .noMemory: "Raise the limit of memory (ulimit -v, MemoryMax), or free some."
        default: ""
        }
    }
}
