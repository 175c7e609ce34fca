public import FileAccess
public import SystemPackage

/// Why files did not get their names in an output directory.
///
/// The sentence says what is wrong, then what to do.
public enum PublicationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Another job holds the directory; `holder` names it.
    case held(path: FilePath, holder: String)
    /// Files there may not be replaced; each reason is the rest of a sentence.
    case inTheWay(path: FilePath, reasons: [String])
    /// The directory cannot be used; each reason is a sentence.
    case refused([String])
    /// The files are whole, but did not get their names; they are kept.
    case kept(staging: FilePath, cause: String)
    /// The directory keeps no files of a failed publication.
    case nothingKept(at: FilePath)
    /// The kept files differ from those that were computed.
    case changed(staging: FilePath)
    /// The staged files no longer exist.
    case vanished(staging: FilePath)
    /// One of our files has a later version of its format.
    case newerVersion(file: FilePath, found: String, known: String)
    /// One of our files is malformed.
    case malformed(file: FilePath, problem: String)
    /// A file or directory cannot be read, written, made, removed or renamed.
    case file(FileError)

    /// The sentence for the person who must act.
    public var description: String {
        switch self {
        case .held(let path, let holder):
            "the output directory \(path) is that of \(holder)"
        case .inTheWay(let path, let reasons):
            reasons.map { "the output directory \(path) \($0)" }.joined(separator: " ")
        case .refused(let problems): problems.joined(separator: "\n")
        case .kept(let staging, let cause):
            "the files are computed, but cannot be published: \(cause) What was computed is kept: \"kfacctl publish "
                + "\(staging)\" publishes it when the cause is mended, without computing it again."
        case .nothingKept(let path):
            "\(path): nothing is kept there that a job computed and could not publish. Name the directory that the "
                + "failure of the job named."
        case .changed(let staging):
            "\(staging): the files that are kept there are not as they were computed, and nothing is published. Submit "
                + "the job again, or move what is left of them yourself."
        case .vanished(let staging):
            "\(staging): the files that were written there are gone, so that nothing can be published. Submit the job "
                + "again."
        case .newerVersion(let file, let found, let known):
            "\(file): is of version \"\(found)\"; this program knows \"\(known)\". Use the newer kfacd, or another "
                + "directory."
        case .malformed(let file, let problem):
            "\(file): \(problem) It was changed by somebody else. Restore it, or choose another directory."
        case .file(let error): error.description
        }
    }

    /// The kernel's reason, where a call failed.
    public var code: Errno? {
        switch self {
        case .file(let error): error.code
        default: nil
        }
    }
}

/// Runs file operations, and turns their errors into this module's errors.
func writing<Value>(_ body: () throws(FileError) -> Value) throws(PublicationError) -> Value {
    do { return try body() } catch { throw .file(error) }
}

/// Runs operations on directories, and turns their errors into this module's errors.
func writing<Value>(_ body: () throws(FileAccessError) -> Value) throws(PublicationError) -> Value {
    do { return try body() } catch { throw .file(FileError(error)) }
}
