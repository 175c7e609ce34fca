public import SystemPackage

/// Why a file is not touched.
public enum FileRootsError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A directory that was to be a root is none.
    case unusableRoot(path: FilePath, code: Errno)
    /// The path leads elsewhere; `resolved` says where, unless that would tell what exists there.
    case outside(path: FilePath, resolved: FilePath?, roots: [FilePath])
    /// A system call failed; `call` names it and `code` carries the kernel's reason.
    case callFailed(path: FilePath, call: String, code: Errno)

    /// The sentence for the person who must act.
    public var description: String {
        switch self {
        case .unusableRoot(let path, let code):
            "\(path): cannot be a root: \(code) (errno \(code.rawValue)); expected a directory that exists. Make it, "
                + "or correct --root."
        case .outside(let path, let resolved, let roots):
            "\(path): \(resolved.map { "leads to \($0), which lies" } ?? "lies") outside of the roots "
                + "(\(roots.isEmpty ? "none" : roots.map(\.string).joined(separator: ", "))); expected a path below one "
                + "of them. Move the file there, or start the daemon with a further --root."
        case .callFailed(let path, let call, let code):
            "\(path): \(call) failed: \(code) (errno \(code.rawValue))."
        }
    }
}
