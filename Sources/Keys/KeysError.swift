import FileAccess
public import Identifiers
public import SystemPackage

/// Why keys cannot be read, written or used.
///
/// The text never contains the contents of a key file.
public enum KeysError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A system call failed; `call` names it and `code` carries the kernel's reason.
    case callFailed(file: FilePath, call: String, code: Errno)
    /// A line of a key file, counted from 1, is not what it must be.
    case malformedLine(file: FilePath, line: Int, problem: String)
    /// A key file states another format or version.
    case otherFormat(file: FilePath, FormatProblem)
    /// A key file lacks a line.
    case missingLine(file: FilePath, expected: String)
    /// The public key of a secret file does not belong to its secret key.
    case mismatch(file: FilePath)
    /// Users other than the owner can read a secret key.
    case notPrivate(file: FilePath, permissions: UInt16)
    /// Any user can change who is authorized.
    case writableByAll(file: FilePath)
    /// The path is not a file, or it is far too long for a key file.
    case notKeyFile(file: FilePath)
    /// Two files authorize one key.
    case sameKey(file: FilePath, other: FilePath)
    /// A key file would be overwritten.
    case exists(file: FilePath)
    /// The name cannot be a key's name.
    case invalidName(String)
    /// libzmq cannot make keys.
    case unavailable(cause: String)

    /// The sentence for the person who must act.
    public var description: String {
        switch self {
        case .otherFormat(let file, let problem): "\(file): the key file \(problem)"
        case .callFailed(let file, _, .noSuchFileOrDirectory):
            "\(file): there is no such file, or no such directory."
        case .callFailed(let file, let call, let code):
            "\(file): \(SystemWords.failure(of: call, code))"
        case .malformedLine(let file, let line, let problem):
            "\(file):\(line): \(problem)"
        case .missingLine(let file, let expected):
            "\(file): has no line \"\(expected)\"; expected one. Add it, or make the key anew with \"kfacctl keygen\"."
        case .mismatch(let file):
            "\(file): the public key is not that of the secret key; expected a pair. Make the key anew with "
                + "\"kfacctl keygen\"."
        case .notPrivate(let file, let permissions):
            "\(file): others than its owner can read the secret key (mode \(Self.octal(permissions))); expected mode "
                + "0600. Run \"chmod 600 \(file)\"; if others may have read it, make a new key."
        case .writableByAll(let file):
            "\(file): anybody can write to it, and so authorize keys; expected its owner to be the only one. Run "
                + "\"chmod go-w \(file)\" and look at what it holds."
        case .notKeyFile(let file):
            "\(file): is no key file; expected a file of a few lines, as \"kfacctl keygen\" writes it."
        case .sameKey(let file, let other):
            "\(file): holds the same key as \(other); expected every key once. Remove one of them."
        case .exists(let file):
            "\(file): exists already; a key is never overwritten. Choose another name or directory."
        case .invalidName(let name):
            "key name \"\(name.excerpt)\": cannot name a file; expected 1 to 64 letters, digits, \".\", \"_\" or \"-\", the "
                + "first a letter or digit."
        case .unavailable(let cause):
            "keys cannot be made: \(cause). Install a libzmq with CURVE."
        }
    }

    private static func octal(_ permissions: UInt16) -> String {
        let digits = String(permissions, radix: 8)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
