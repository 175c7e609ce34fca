/// The files of a set, the tensors of each file in order, and the index.
///
/// Source: the layout of the Hugging Face Hub: `<stem>.safetensors`, or `<stem>-00001-of-0000N.safetensors` with
/// `<stem>.safetensors.index.json`.
public struct ShardLayout: Equatable, Sendable {
    /// One file of a set.
    public struct Shard: Equatable, Sendable {
        /// The file's name, without a directory.
        public let fileName: String
        /// Its tensors in the order of their data.
        public let tensors: [TensorDescription]

        /// Places tensors in a file.
        public init(fileName: String, tensors: [TensorDescription]) {
            self.fileName = fileName
            self.tensors = tensors
        }
    }

    /// The files in order.
    public let shards: [Shard]
    /// The index's file name; nil for a set of one file without an index.
    public let indexName: String?

    /// Bytes of tensors in a shard before the next one begins; 5 GB is also the Hub's default.
    public static let defaultShardByteLimit = 5_000_000_000

    /// Takes an existing layout, such as that of a base checkpoint.
    public init(shards: [Shard], indexName: String?) {
        self.shards = shards
        self.indexName = indexName
    }

    /// Fills shards greedily in the order of the tensors.
    ///
    /// A tensor above the limit gets a shard of its own.
    ///
    /// - Parameters:
    ///   - tensors: all tensors, in the order of writing.
    ///   - stem: the files' name before the shard number, `model` for checkpoints.
    ///   - shardByteLimit: bytes of tensors in one file, without its header.
    public init(
        tensors: [TensorDescription],
        stem: String = "model",
        shardByteLimit: Int = ShardLayout.defaultShardByteLimit
    ) {
        // The writer refuses a tensor whose size overflows, with its name.
        self.init(tensors, stem: stem, limit: shardByteLimit) { $0.byteCount ?? 0 }
    }

    /// Fills shards greedily in the order of the tensors, by numbers of elements, as mergekit does.
    ///
    /// A tensor above the limit gets a shard of its own.
    ///
    /// - Parameters:
    ///   - tensors: all tensors, in the order of writing.
    ///   - stem: the files' name before the shard number, `model` for checkpoints.
    ///   - shardElementLimit: elements in one file.
    public init(tensors: [TensorDescription], stem: String = "model", shardElementLimit: Int) {
        self.init(tensors, stem: stem, limit: shardElementLimit) { $0.elementCount ?? 0 }
    }

    private init(
        _ tensors: [TensorDescription], stem: String, limit: Int, size: (TensorDescription) -> Int
    ) {
        var groups: [[TensorDescription]] = [[]]
        var filled = 0
        for tensor in tensors {
            let size = size(tensor)
            if filled > 0, size > limit - filled {
                groups.append([])
                filled = 0
            }
            groups[groups.count - 1].append(tensor)
            filled += size
        }
        let names = groups.indices.map { Self.fileName(stem: stem, number: $0 + 1, of: groups.count) }
        self.shards = zip(names, groups).map { Shard(fileName: $0, tensors: $1) }
        self.indexName = groups.count > 1 ? "\(stem)\(SafetensorsIndex.nameSuffix)" : nil
    }

    /// All tensors, in the order of the shards.
    public var tensors: [TensorDescription] { shards.flatMap(\.tensors) }

    private static func fileName(stem: String, number: Int, of count: Int) -> String {
        func padded(_ number: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
        }
        return count == 1 ? "\(stem).safetensors" : "\(stem)-\(padded(number))-of-\(padded(count)).safetensors"
    }
}
