public import SystemPackage

/// Why a file is not opened.
public enum FileRootsError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A root is not an existing directory.
    case unusableRoot(path: FilePath, code: Errno)
    /// The path, or a link in it, leads outside.
    ///
    /// The error does not reveal where to, or whether the target exists.
    case outside(path: FilePath, isLink: Bool, roots: [FilePath])
    /// The path leads to a pipe, a socket or a device.
    case notFile(path: FilePath)
    /// A directory holds more names than are read.
    case tooManyNames(directory: FilePath, limit: Int)
    /// A system call failed; `call` names it and `code` carries the kernel's reason.
    case callFailed(path: FilePath, call: String, code: Errno)

    /// The path that is not opened.
    public var path: FilePath {
        switch self {
        case .unusableRoot(let path, _), .outside(let path, _, _), .notFile(let path), .tooManyNames(let path, _),
            .callFailed(let path, _, _):
            path
        }
    }

    /// The sentence for the person who must act.
    public var description: String {
        switch self {
        case .unusableRoot(let path, let code):
            "\(path): cannot be a root: \(SystemWords.text(of: code)); expected a directory that exists. Make it, or "
                + "correct --root."
        case .outside(let path, let isLink, let roots):
            "\(path): \(isLink ? "a link leads" : "lies") outside of the roots "
                + "(\(roots.isEmpty ? "none" : roots.map(\.string).joined(separator: ", "))); expected a path below one "
                + "of them. Move the file there, or start the daemon with a further --root."
        case .notFile(let path):
            "\(path): is a pipe, a socket or a device; expected a regular file. Correct the path."
        case .tooManyNames(let directory, let limit):
            "\(directory): holds more than \(limit) names. Name the files more exactly, or move others away."
        case .callFailed(let path, let call, let code):
            "\(path): \(SystemWords.failure(of: call, code))"
        }
    }
}
