import Identifiers

/// The values of a checkpoint's `config.json` by key; a part's keys look like `text_config.hidden_act`.
public struct ModelConfiguration: Equatable, Sendable {
    /// The file, for messages.
    public var location: String
    /// The values as JSON texts, by their keys' paths.
    public var values: [String: String]

    /// Collects the values of a file.
    public init(location: String, values: [String: String]) {
        self.location = location
        self.values = values
    }

    /// Whether the model states that its output head is tied to its embedding.
    public var tiesEmbeddings: Bool {
        values.contains { key, value in
            value == "true" && (key == "tie_word_embeddings" || key.hasSuffix(".tie_word_embeddings"))
        }
    }

    /// Whether the model states that its output head is not tied to its embedding.
    var untiesEmbeddings: Bool { values["tie_word_embeddings"] == "false" }

    /// Keys that change the meaning of weights, by the last part of their path.
    ///
    /// Source: the configurations of the models in Hugging Face transformers. Sizes are not listed, because shapes tell
    /// them.
    static let meaningKeys: Set<String> = [
        "model_type", "architectures", "hidden_act", "hidden_activation", "activation_function", "feed_forward_proj",
        "ffn_activation", "rope_theta", "rope_scaling", "rope_local_base_freq", "rotary_pct", "rotary_emb_base",
        "rotary_dim", "partial_rotary_factor", "position_embedding_type", "alibi", "num_attention_heads",
        "num_key_value_heads", "num_heads", "n_head", "head_dim", "multi_query", "sliding_window", "use_sliding_window",
        "max_window_layers", "layer_types", "layer_norm_eps", "layer_norm_epsilon", "layernorm_epsilon", "rms_norm_eps",
        "norm_eps", "norm_type", "do_layer_norm_before", "normalize_before", "use_parallel_residual",
        "parallel_attn", "apply_residual_connection_post_layernorm", "tie_word_embeddings", "scale_embedding",
        "embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling", "logit_scale",
        "attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar", "relative_attention_num_buckets",
        "relative_attention_max_distance", "num_experts_per_tok", "norm_topk_prob", "patch_size", "is_decoder",
        "add_cross_attention", "qk_layernorm", "use_qk_norm", "attention_bias", "scale_attn_weights",
        "scale_attn_by_inverse_layer_idx",
    ]

    /// Keys whose absence means "none", so that a file without them differs from a file that sets them.
    private static let absentMeansNone: Set<String> = [
        "rope_scaling", "attn_logit_softcapping", "final_logit_softcapping",
    ]

    /// A key with different values in two files.
    struct Difference: Equatable {
        var key: String
        var own: String
        var base: String
    }

    /// The keys that change the meaning of weights and have different values, in order.
    func differences(from base: ModelConfiguration) -> [Difference] {
        let paths = Set(values.keys).union(base.values.keys).filter { path in
            Self.meaningKeys.contains(path.split(separator: ".").last.map(String.init) ?? path)
        }
        return paths.sorted().compactMap { path in
            let none = Self.absentMeansNone.contains(path.split(separator: ".").last.map(String.init) ?? path)
            // Where an absent key means no particular value, null says as little.
            func stated(_ values: [String: String]) -> String? {
                none ? values[path] ?? "null" : values[path].flatMap { $0 == "null" ? nil : $0 }
            }
            guard let own = stated(values), let other = stated(base.values), !Self.isSame(own, other) else {
                return nil
            }
            return Difference(key: path, own: own, base: other)
        }
    }

    /// Compares numbers by value, however they are written: 1e-05 and 0.00001.
    private static func isSame(_ value: String, _ other: String) -> Bool {
        if value == other { return true }
        guard let number = Double(value), let second = Double(other) else { return false }
        return number == second
    }
}

extension JobSpec {
    /// Whether the job allows a difference, by the key's path or its last part.
    func allowsDifference(of key: String) -> Bool {
        switch allowedDifferences {
        case .none: false
        case .all: true
        case .keys(let keys): keys.contains(key) || keys.contains(String(key.split(separator: ".").last ?? ""))
        }
    }

    /// Differences between the configurations of the base and the models: problems, or notices where they are allowed.
    func configurationFindings(_ inventory: JobInventory) -> (problems: [JobProblem], notices: [JobNotice]) {
        guard outputs.contains(.merged), let base = inventory.base.configuration else { return ([], []) }
        var (problems, notices): ([JobProblem], [JobNotice]) = ([], [])
        for task in tasks where task.model != nil {
            guard let checkpoint = inventory.checkpoints[task.name], let own = checkpoint.configuration else {
                continue
            }
            var faults = SharedFaults()
            for difference in own.differences(from: base) {
                // The tensors have already shown this difference.
                let areShown = !checkpoint.ties.isEmpty || !inventory.base.heads.isEmpty
                if difference.key.hasSuffix("tie_word_embeddings"), areShown { continue }
                let sentence =
                    "\"\(difference.key)\" is \(difference.own.excerpt) for task \"\(task.name)\"; the base has "
                    + "\(difference.base.excerpt) (\(base.location))"
                if allowsDifference(of: difference.key) {
                    notices.append(JobNotice(at: own.location, "\(sentence). The job allows it; the base's is kept."))
                } else {
                    let last = difference.key.split(separator: ".").last ?? ""
                    faults.append(
                        "\(sentence), so equal weights do not mean the same. Merge models of one architecture, or write "
                            + "\"allow_config_differences: [\(last)]\" to merge them all the same.",
                        about: difference.key, of: "keys", at: own.location)
                }
            }
            problems += faults.problems
        }
        return (problems, notices)
    }
}

/// The configuration differences that a job allows.
public enum AllowedDifferences: Equatable, Sendable {
    /// None.
    case none
    /// All.
    case all
    /// Those of some keys.
    case keys([String])
}
