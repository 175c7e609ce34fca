public import SystemPackage

/// Why a file cannot be read or written.
///
/// Each description is a sentence in this order: the file, what is wrong, what was expected, what to do.
public enum FileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A system call failed; `call` names it and `code` carries the kernel's reason.
    case callFailed(file: FilePath, call: String, code: Errno)
    /// The file system or the quota has no room left.
    case diskFull(file: FilePath, call: String)
    /// The path leads outside of the roots.
    case outsideRoots(FileRootsError)
    /// The path leads to a directory, a pipe or a device; `kind` names it.
    case notRegularFile(file: FilePath, kind: String)
    /// The file is larger than its kind may be.
    ///
    /// This is checked before memory is allocated for it.
    case fileTooLarge(file: FilePath, byteCount: Int, limit: Int)
    /// A directory cannot be made, listed, removed or made durable.
    case access(FileAccessError)

    /// The sentence for the user.
    public var description: String {
        switch self {
        case .callFailed(let file, let call, let code):
            "\(file): \(SystemWords.failure(of: call, code))"
        case .diskFull(let file, let call):
            "\(file): \(call) failed: no space is left on the disk or in the quota. Make room and try again."
        case .outsideRoots(let error):
            error.description
        case .notRegularFile(let file, let kind):
            "\(file): is \(kind), not a regular file. Correct the path."
        case .fileTooLarge(let file, let byteCount, let limit):
            "\(file): has \(byteCount) bytes; expected at most \(limit)."
        case .access(let error): error.description
        }
    }

    /// The path that cannot be read or written.
    public var path: FilePath {
        switch self {
        case .callFailed(let file, _, _), .diskFull(let file, _), .notRegularFile(let file, _),
            .fileTooLarge(let file, _, _):
            file
        case .outsideRoots(let error): error.path
        case .access(let error): error.path
        }
    }

    /// The kernel's reason, where a call failed.
    public var code: Errno? {
        switch self {
        case .callFailed(_, _, let code): code
        case .diskFull: .noSpace
        case .access(let error): error.code
        case .outsideRoots, .notRegularFile, .fileTooLarge: nil
        }
    }
}

/// An error of a module that opens files: it can hold any ``FileError``.
public protocol FileFailure: Error {
    /// Takes over what is wrong with a file.
    init(_ error: FileError)
}

extension FileError: FileFailure {
    /// The same error.
    public init(_ error: FileError) { self = error }
}

extension FileFailure {
    /// A failed system call; a full disk or quota is a case of its own.
    public init(call: String, path: FilePath, code: Errno) {
        self.init(
            code.isLackOfRoom ? .diskFull(file: path, call: call) : .callFailed(file: path, call: call, code: code))
    }

    /// A failed operation on a directory.
    public init(_ error: FileAccessError) { self.init(.access(error)) }
}
