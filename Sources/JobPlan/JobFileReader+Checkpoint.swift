import Yams

/// The key `checkpoint`.
extension JobFileReader {
    /// Reads the key `checkpoint`.
    mutating func readCheckpoint(_ node: Node?) -> CheckpointSpec {
        var checkpoint = CheckpointSpec()
        guard let node else { return checkpoint }
        let entries = entries(
            node, of: "\"checkpoint\"", keys: ["form", "rank", "layout", "shard_size", "copy_tokenizer", "model_card"])
        let form = entries["form"].flatMap { word($0, "form", as: CheckpointSpec.Form.self) }
        checkpoint.adapterRank = adapterRank(form, entries, node)
        if let node = entries["layout"] { checkpoint.layout = word(node, "layout") ?? .directory }
        if let node = entries["shard_size"] { checkpoint.shardSize = shardSize(node) }
        if let node = entries["copy_tokenizer"] {
            checkpoint.copiesTokenizer = truth(node, "copy_tokenizer") ?? true
        }
        if let node = entries["model_card"] { checkpoint.hasModelCard = truth(node, "model_card") ?? false }
        return checkpoint
    }

    private mutating func adapterRank(
        _ form: CheckpointSpec.Form?, _ entries: [String: Node], _ checkpoint: Node
    ) -> AdapterRank? {
        guard form == .lora else {
            if let node = entries["rank"] {
                report(node, "\"rank\" is for the form \"lora\". Write \"form: lora\" beside it, or remove it.")
            }
            return nil
        }
        for key in ["shard_size", "copy_tokenizer"] {
            guard let node = entries[key] else { continue }
            report(node, "\"\(key)\" is for a whole model, not for the form \"lora\". Remove it.")
        }
        guard let node = entries["rank"] else {
            report(
                checkpoint,
                "the form \"lora\" needs \"rank\": the most singular triplets of a matrix, such as 16, or exact.")
            return nil
        }
        if node.scalar?.string == "exact" { return .exact }
        guard case .scalar(let scalar) = node, case .number(let number) = YAMLScalar(scalar),
            let rank = Int(exactly: number), (1...JobFileLimits.adapterRank).contains(rank)
        else {
            report(
                node,
                "\"rank\" must be exact, or a whole number from 1 to \(JobFileLimits.adapterRank).")
            return nil
        }
        return .atMost(rank)
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
