public import FileAccess
import JSONText
public import SystemPackage

/// The tokens of a model by their ids, from the `tokenizer.json` beside its weights.
///
/// Source: the format of Hugging Face tokenizers.
public struct TokenizerVocabulary: Equatable, Sendable {
    /// The file.
    public let location: FilePath
    /// The tokens by id.
    public let tokens: [Int: String]

    private static let fileName = "tokenizer.json"
    /// The size limit of the file; the largest vocabularies take 35 MB.
    private static let byteLimit = 256 << 20

    /// Reads the vocabulary of a model.
    ///
    /// - Parameters:
    ///   - directory: The model's directory.
    ///   - roots: The directories below which files may be read.
    /// - Returns: The vocabulary; `nil` if there is no `tokenizer.json`, or none that may be read.
    /// - Throws: ``JobFileError`` when it cannot be read, is not JSON, or has no vocabulary of a known form.
    public static func read(in directory: FilePath, within roots: FileRoots) throws(JobFileError) -> Self? {
        let path = directory.appending(fileName)
        guard let content = try CompanionJSON.read(path, limit: byteLimit, within: roots) else { return nil }
        var tokens: [Int: String] = [:]
        switch content["model"]?["vocab"] {
        // Byte pairs, word pieces and words: token → id.
        case .object(let members)?:
            for member in members {
                guard case .number(let text) = member.value, let id = Int(text) else { throw .noVocabulary(file: path) }
                tokens[id] = member.key
            }
        // Unigrams: tokens with scores, in the order of the ids.
        case .array(let entries)?:
            for (id, entry) in entries.enumerated() {
                guard case .array(let pair) = entry, let token = pair.first?.stringValue else {
                    throw .noVocabulary(file: path)
                }
                tokens[id] = token
            }
        default: throw .noVocabulary(file: path)
        }
        if case .array(let added)? = content["added_tokens"] {
            for token in added {
                guard case .number(let text)? = token["id"], let id = Int(text),
                    let word = token["content"]?.stringValue
                else { throw .noVocabulary(file: path) }
                tokens[id] = word
            }
        }
        guard !tokens.isEmpty else { throw .noVocabulary(file: path) }
        return TokenizerVocabulary(location: path, tokens: tokens)
    }

    /// Whether two models have a `tokenizer.json` each, with different bytes.
    ///
    /// - Parameters:
    ///   - directory: A model's directory.
    ///   - other: The other model's.
    ///   - roots: The directories below which files may be read.
    /// - Returns: False also where one cannot be read.
    public static func filesDiffer(in directory: FilePath, from other: FilePath, within roots: FileRoots) -> Bool {
        guard directory != other,
            let own = try? WholeFile.read(directory.appending(fileName), limit: byteLimit, within: roots),
            let others = try? WholeFile.read(other.appending(fileName), limit: byteLimit, within: roots)
        else { return false }
        return own != others
    }

    /// The first id below a bound whose tokens differ, or that only one of both has.
    public func firstDifference(from other: TokenizerVocabulary, below bound: Int) -> Int? {
        (0..<bound).first { tokens[$0] != other.tokens[$0] }
    }
}
