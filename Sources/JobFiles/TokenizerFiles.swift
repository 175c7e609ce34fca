public import FileAccess
import NameMatching
public import SystemPackage

/// The files of a model's tokenizer: tokens, special tokens and the template of chats.
public enum TokenizerFiles {
    /// The size limit of a file; the largest vocabularies take 35 MB.
    private static let byteLimit = 256 << 20

    /// The first file, by name, that two models do not have in the same bytes.
    ///
    /// - Parameters:
    ///   - directory: A model's directory.
    ///   - other: The other model's.
    ///   - roots: The directories below which files may be read.
    /// - Returns: The name; `nil` for equal files.
    /// - Throws: ``JobFileError`` when a directory or a file cannot be read.
    public static func firstDifference(
        in directory: FilePath, from other: FilePath, within roots: FileRoots
    ) throws(JobFileError) -> String? {
        try wrapping { () throws(FileError) in
            let own = try names(in: directory, roots)
            let others = try names(in: other, roots)
            if let alone = own.symmetricDifference(others).min() { return alone }
            for name in own.sorted() {
                let first = try WholeFile.read(directory.appending(name), limit: byteLimit, within: roots)
                let second = try WholeFile.read(other.appending(name), limit: byteLimit, within: roots)
                if first != second { return name }
            }
            return nil
        }
    }

    /// Whether a directory has any file of a tokenizer.
    ///
    /// - Parameters:
    ///   - directory: A model's directory.
    ///   - roots: The directories below which files may be read.
    /// - Returns: False also for a directory that cannot be read.
    public static func exist(in directory: FilePath, within roots: FileRoots) -> Bool {
        (try? names(in: directory, roots)).map { !$0.isEmpty } ?? false
    }

    private static func names(in directory: FilePath, _ roots: FileRoots) throws(FileError) -> Set<String> {
        Set(
            try WholeFile.names(in: directory, within: roots)
                .filter { ModelFileName.isOfEveryModel($0) && ModelFileName.isOfTokenizer($0) })
    }
}
