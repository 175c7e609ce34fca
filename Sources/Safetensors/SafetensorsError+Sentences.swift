import FileAccess
public import Identifiers
import JSONText
import SystemPackage

extension SafetensorsError {
    /// The sentences for the user; errors with one cause share one.
    public var sentences: [String] { [self].sentences }

    /// Adds these errors to the sentences about a set of files.
    public func add(to faults: inout SharedFaults) {
        for error in all {
            let name = error.tensor
            faults.append(error.description, about: name, of: name == nil ? "files" : "tensors", in: error.path.string)
        }
    }

    /// The file, or the directory of the set.
    private var path: FilePath {
        switch self {
        case .file(let error): error.path
        case .json(let error): error.file
        case .gitLFSPointer(let file, _), .foreignFormat(let file, _), .truncated(let file, _, _),
            .trailingBytes(let file, _, _), .changed(let file), .header(let file, _), .tensor(let file, _, _),
            .writing(let file, _, _):
            file
        case .set(let path, _): path
        case .several(let errors): errors.first?.path ?? ""
        }
    }

    /// The tensor that alone is wrong.
    private var tensor: String? {
        switch self {
        case .tensor(_, let name, _), .writing(_, let name, _): name
        default: nil
        }
    }
}

extension [SafetensorsError] {
    /// The sentences for the user; errors with one cause share one.
    public var sentences: [String] {
        var faults = SharedFaults()
        for error in self { error.add(to: &faults) }
        return faults.sentences
    }
}
