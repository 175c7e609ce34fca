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
