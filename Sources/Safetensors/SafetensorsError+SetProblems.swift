import Identifiers

extension SafetensorsError {
    /// Why a directory or its index is not a complete set of shards.
    public enum SetProblem: Equatable, Sendable, CustomStringConvertible {
        /// The directory holds neither a safetensors file nor an index.
        case empty
        /// Several files could be the model; these are their names.
        case ambiguous([String])
        /// The index that orders the shards is missing.
        case noIndex([String])
        /// The index lacks a required key, or a value has another kind.
        case indexField(String, expected: String)
        /// A shard name leads out of the directory.
        case shardOutside(tensor: String, shard: String)
        /// The index names a shard that the directory lacks.
        case shardMissing(shard: String, tensorCount: Int)
        /// Several shards that an index names are not there.
        case shardsMissing([String], of: Int)
        /// The index places tensors in a shard that lacks them.
        case tensorsMissing([String], shard: String)
        /// A shard holds tensors that the index does not name.
        case tensorsUnlisted([String], shard: String)
        /// A shard holds tensors that the index places in other ones; `indexed` is that of the first.
        case tensorsElsewhere([String], shard: String, indexed: String)
        /// The layout for writing names a tensor or a file twice.
        case repeated(String)

        /// The middle and end of the sentence that starts with the path.
        public var description: String {
            switch self {
            case .empty:
                "holds no safetensors file; expected \"model.safetensors\" or a \"*.safetensors.index.json\"."
            case .ambiguous(let names):
                "holds \(Self.list(names)); expected one of them. Name the file itself, or move the others away."
            case .noIndex(let names):
                "holds \(Self.list(names)) without a \"*.safetensors.index.json\"; "
                    + "expected the index that says how they belong together."
            case .indexField(let field, let expected): "\(field) is missing or of another kind; expected \(expected)."
            case .shardOutside(let tensor, let shard):
                "places tensor \"\(tensor.excerpt)\" in \"\(shard.excerpt)\"; expected the name of a file in the same directory."
            case .shardMissing(let shard, let count):
                "places \(count) \(count == 1 ? "tensor" : "tensors") in \"\(shard.excerpt)\", which does not exist. "
                    + "Copy or download the shard."
            case .shardsMissing(let shards, let count):
                "\(shards.count) of its \(count) shards do not exist: \(Self.list(shards)). Copy or download them."
            case .tensorsMissing(let tensors, let shard):
                "places \(Self.tensors(tensors)) in \"\(shard.excerpt)\", which does not hold \(tensors.count == 1 ? "it" : "them"). "
                    + "Index and shards are not of one set; copy or download them again."
            case .tensorsUnlisted(let tensors, let shard):
                "does not name \(Self.tensors(tensors)) of \"\(shard.excerpt)\"; expected every tensor of every shard."
            case .tensorsElsewhere(let tensors, let shard, let indexed):
                tensors.count == 1
                    ? "places \(Self.tensors(tensors)) in \"\(indexed.excerpt)\", but \"\(shard.excerpt)\" holds one of that name too; "
                        + "expected every tensor once."
                    : "places \(Self.tensors(tensors)) in other files, the first in \"\(indexed.excerpt)\", but \"\(shard.excerpt)\" holds "
                        + "tensors of these names too; expected every tensor once."
            case .repeated(let name): "names \"\(name.excerpt)\" twice; expected every file and every tensor once."
            }
        }

        /// One tensor, or the number of them and the first names.
        private static func tensors(_ names: [String]) -> String {
            names.count == 1 ? "tensor \"\(names[0].excerpt)\"" : "\(names.count) tensors (\(list(names)))"
        }

        private static func list(_ names: [String]) -> String {
            names.lazy.map { "\"\($0)\"" }.listed(limit: 4)
        }
    }

    /// Why a written file differs from its announcement.
    public enum WritingProblem: Equatable, Sendable, CustomStringConvertible {
        /// No tensor of that name was announced.
        case unknown
        /// The same name was announced twice, or is the reserved key of the format.
        case nameTaken
        /// The shape's size overflows, or is not a whole number of bytes.
        case sizeUnknown(TensorDescription)
        /// The bytes are outside the tensor.
        case rangeOutside(start: Int, count: Int, byteCount: Int)
        /// The bytes were written before.
        case writtenTwice(start: Int, count: Int)
        /// Some bytes were not written before the file was finished.
        case incomplete(written: Int, expected: Int)
        /// The write came after the file was finished.
        case finished

        /// The middle and end of the sentence that starts with file and tensor.
        public var description: String {
            switch self {
            case .unknown: "was not announced when the file was begun; nothing was written."
            case .nameTaken: "was announced, but the name is taken; expected distinct names other than __metadata__."
            case .sizeUnknown(let tensor):
                "was announced as \(tensor.typeAndShape), which is not a countable whole number of bytes."
            case .rangeOutside(let start, let count, let byteCount):
                "has \(byteCount) bytes; \(count) bytes at byte \(start) do not fit and were not written."
            case .writtenTwice(let start, let count):
                "was given \(count) bytes at byte \(start), some of which were written before; expected each byte once."
            case .incomplete(let written, let expected):
                "was given \(written) bytes; expected \(expected). The file was not published."
            case .finished: "was given bytes after the file was finished; nothing was written."
            }
        }
    }
}
