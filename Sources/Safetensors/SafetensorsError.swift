public import FileAccess
import Identifiers
public import JSONText
public import SystemPackage

/// Everything that can be wrong with a safetensors file, a set of files, or a write.
///
/// Each description is a sentence in this order: the file, what is wrong, what was expected, what to do.
public enum SafetensorsError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file cannot be read or written.
    case file(FileError)
    /// A text is not JSON, or names a key twice.
    case json(JSONError)
    /// The file holds a git-LFS pointer in place of the data; `byteCount` is the size the pointer names.
    case gitLFSPointer(file: FilePath, byteCount: Int?)
    /// The file has another format.
    case foreignFormat(file: FilePath, format: ForeignFormat)
    /// The file ends before the data that its header describes.
    case truncated(file: FilePath, expected: Int, found: Int)
    /// The file goes on after the data that its header describes.
    case trailingBytes(file: FilePath, expected: Int, found: Int)
    /// The size or modification time has changed since the file was opened.
    case changed(file: FilePath)
    /// The whole header breaks a rule of the format.
    case header(file: FilePath, problem: HeaderProblem)
    /// The header's entry of one tensor breaks a rule, or a request asked for more than the tensor holds.
    case tensor(file: FilePath, name: String, problem: TensorProblem)
    /// A directory or its index is not a complete set of shards.
    case set(path: FilePath, problem: SetProblem)
    /// A file being written was given bytes that do not belong to it, or too few.
    case writing(file: FilePath, name: String, problem: WritingProblem)
    /// Two or more of these errors: all that were found.
    case several([SafetensorsError])

    /// The sentence for the user.
    public var description: String {
        switch self {
        case .file(let error): error.description
        case .json(let error): error.description
        case .gitLFSPointer(let file, let byteCount):
            "\(file): is a git-LFS pointer\(byteCount.map { " to \($0) bytes" } ?? ""), not the data itself; "
                + "expected a safetensors file. Run `git lfs pull` where it was cloned, or download the file."
        case .foreignFormat(let file, let format):
            "\(file): is \(format.rawValue); expected a safetensors file. \(format.remedy)"
        case .truncated(let file, _, 0):
            "\(file): is empty; expected a safetensors file. Copy or download it again."
        case .truncated(let file, let expected, let found):
            "\(file): is truncated: it has \(found) bytes; expected \(expected). Copy or download it again."
        case .trailingBytes(let file, let expected, let found):
            "\(file): has \(found) bytes; expected \(expected), the end of its last tensor. "
                + "Copy or download it again."
        case .changed(let file):
            "\(file): changed after it was opened; expected it to stay as it was. Submit the job again."
        case .header(let file, let problem):
            "\(file): \(problem)"
        case .tensor(let file, let name, let problem):
            "\(file): tensor \"\(name.excerpt)\" \(problem)"
        case .set(let path, let problem):
            "\(path): \(problem)"
        case .writing(let file, let name, let problem):
            "\(file): tensor \"\(name.excerpt)\" \(problem)"
        case .several(let errors):
            errors.sentences.cutLines
        }
    }

    /// The errors one by one: the members of ``several(_:)``, or this one alone.
    public var all: [SafetensorsError] {
        guard case .several(let errors) = self else { return [self] }
        return errors.flatMap(\.all)
    }

    /// Bundles errors: nil for none, the error itself for one, ``several(_:)`` for more.
    static func bundle(_ errors: [SafetensorsError]) -> SafetensorsError? {
        errors.count > 1 ? .several(errors) : errors.first
    }
}

extension SafetensorsError: FileFailure {
    /// What is wrong with a file.
    public init(_ error: FileError) { self = .file(error) }

    /// The reader has gone, so that reading ends.
    static func interrupted(_ file: FilePath) -> SafetensorsError {
        .file(.callFailed(file: file, call: "read", code: .canceled))
    }
}
