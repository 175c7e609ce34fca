import Yams

/// The key `checkpoint`.
extension JobFileReader {
    /// Reads the key `checkpoint`.
    mutating func readCheckpoint(_ node: Node?) -> CheckpointSpec {
        var checkpoint = CheckpointSpec()
        guard let node else { return checkpoint }
        let entries = entries(
            node, of: "\"checkpoint\"", keys: ["layout", "shard_size", "copy_tokenizer", "model_card"])
        if let node = entries["layout"] { checkpoint.layout = word(node, "layout") ?? .directory }
        if let node = entries["shard_size"] { checkpoint.shardSize = shardSize(node) }
        if let node = entries["copy_tokenizer"] {
            checkpoint.copiesTokenizer = truth(node, "copy_tokenizer") ?? true
        }
        if let node = entries["model_card"] { checkpoint.hasModelCard = truth(node, "model_card") ?? false }
        return checkpoint
    }

    private mutating func shardSize(_ node: Node) -> Int? {
        guard let size = node.scalar.flatMap({ CheckpointSpec.parameterCount($0.string) }) else {
            report(
                node,
                "\"shard_size\" must be a number of parameters of at least 1, such as 5000000000, or with K, M or B for "
                    + "thousands, millions or billions, such as 5B.")
            return nil
        }
        return size
    }
}
