import JSONText
import Safetensors

/// The part of a model's `config.json` that a merge changes: the storage type of the parameters.
enum ModelConfig {
    /// PyTorch's word for the storage type of parameters; nil for types that a merge does not write.
    static func word(for dataType: TensorDataType) -> String? {
        switch dataType {
        case .float16: "float16"
        case .bfloat16: "bfloat16"
        case .float32: "float32"
        case .float64: "float64"
        default: nil
        }
    }

    /// The config with `tie_word_embeddings: false`, at the top and wherever it says otherwise.
    static func untyingEmbeddings(in config: JSONValue) -> JSONValue {
        guard case .object(let members) = config else { return config }
        let key = "tie_word_embeddings"
        func untied(_ value: JSONValue) -> JSONValue {
            guard case .object(let members) = value else { return value }
            return .object(
                members.map {
                    .init($0.key, $0.key == key && $0.value == .bool(true) ? .bool(false) : untied($0.value))
                })
        }
        // A config that does not say it may tie by default.
        let isSaid = members.contains { $0.key == key }
        guard isSaid, case .object(let changed) = untied(config) else {
            return .object((untied(config).members ?? members) + [.init(key, .bool(false))])
        }
        return .object(changed.map { $0.key == key ? .init(key, .bool(false)) : $0 })
    }

    /// The config with `torch_dtype` (and its newer name `dtype`) replaced wherever it names a floating-point type,
    /// also in the configs of a model's parts.
    ///
    /// Everything else stays as written.
    static func replacingDataType(in config: JSONValue, by dataType: TensorDataType) -> JSONValue {
        guard let word = word(for: dataType), case .object(let members) = config else { return config }
        return .object(
            members.map { member in
                switch (member.key, member.value) {
                case ("torch_dtype", .string), ("dtype", .string): .init(member.key, .string(word))
                // The quantisation describes tensors that are copied, so it stays.
                case ("quantization_config", _): member
                case (_, .object): .init(member.key, replacingDataType(in: member.value, by: dataType))
                default: member
                }
            }
        )
    }
}
