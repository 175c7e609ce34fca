import UnitOperations

/// The tensors that a job copies from the base: those that match a pattern of its key `ignore`.
public struct IgnoredTensors: Sendable {
    private let patterns: NamePatterns
    private let written: [Located<String>]

    /// Takes the patterns of a job.
    public init(_ spec: JobSpec) {
        patterns = NamePatterns(spec.ignored)
        written = spec.ignored
    }

    /// Whether the patterns take the tensor.
    public func contains(_ tensor: String) -> Bool { patterns.takes(tensor) }

    /// Problems of patterns that match nothing, or that leave nothing to merge.
    func problems(against inventory: JobInventory) -> [JobProblem] {
        guard let first = written.first else { return [] }
        let names = Set(inventory.base.tensors.keys).union(inventory.checkpoints.values.flatMap(\.tensors.keys))
        var problems = patterns.problems(
            among: names, of: "ignore", matching: "no tensor of the base or of a checkpoint")
        let merged = inventory.base.tensors.values.filter { $0.floatingType != nil }
        if !merged.isEmpty, merged.allSatisfy({ contains($0.name) }) {
            problems.append(
                JobProblem(
                    at: first.location,
                    "\"ignore\" leaves out every tensor of the base; expected at least one to merge. Narrow the patterns."
                )
            )
        }
        return problems
    }
}

extension TensorInventory {
    /// Whether no gradient ever changes the tensor: a counter, a mask, positions, a table computed from positions, or
    /// the running statistics of a batch normalisation.
    ///
    /// Source: the buffers of the models in Hugging Face transformers, timm and OpenCLIP.
    public var isBuffer: Bool {
        if Self.integerTypes.contains(elementType) { return true }
        let parts = name.split(separator: ".")
        guard let last = parts.last else { return false }
        if Self.bufferNames.contains(last) { return true }
        // GPT-2 calls its causal mask a bias.
        return last == "bias" && shape.count == 4 && shape[0] == 1 && shape[1] == 1
    }

    private static let integerTypes: Set<String> = ["BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"]
    private static let bufferNames: Set<Substring> = [
        "attention_mask", "attn_mask", "causal_mask", "cos_cached", "freqs", "freqs_cis", "inv_freq", "masked_bias",
        "num_batches_tracked", "original_inv_freq", "position_ids", "relative_position_index", "running_mean",
        "running_var", "sin_cached", "token_type_ids",
    ]
}
