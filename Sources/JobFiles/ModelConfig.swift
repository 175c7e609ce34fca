import Safetensors

/// The part of a model's `config.json` that a merge changes: the type in which the parameters are stored.
enum ModelConfig {
    /// PyTorch's word for a type that parameters are stored in; nil for the types that a merge does not write.
    static func word(for dataType: TensorDataType) -> String? {
        switch dataType {
        case .float16: "float16"
        case .bfloat16: "bfloat16"
        case .float32: "float32"
        case .float64: "float64"
        default: nil
        }
    }

    /// The config with `torch_dtype` (and `dtype`, its newer name) replaced wherever it names a floating-point type,
    /// also in the configs of a model's parts; everything else stays as written.
    static func replacingDataType(in config: JSONValue, by dataType: TensorDataType) -> JSONValue {
        guard let word = word(for: dataType), case .object(let members) = config else { return config }
        return .object(
            members.map { member in
                switch (member.key, member.value) {
                case ("torch_dtype", .string), ("dtype", .string): .init(member.key, .string(word))
                // How weights are quantised is a fact about the tensors that are copied.
                case ("quantization_config", _): member
                case (_, .object): .init(member.key, replacingDataType(in: member.value, by: dataType))
                default: member
                }
            }
        )
    }
}
