import Identifiers
import UnitOperations

/// A stored tensor that holds the weights of all experts of a layer, one expert after the other.
///
/// Its name says what it is; its shape alone never does. Each expert is `[d_out, d_in]`, or `[d_in, d_out]` in some
/// architectures.
///
/// Source: the models of Hugging Face transformers.
struct ExpertStack {
    let tensor: TensorInventory
    /// The tensor's name without the ending of a weight.
    let module: String
    /// Number of experts.
    let count: Int
    /// Rows of an expert as it is stored.
    let rows: Int
    /// Columns of an expert as it is stored.
    let columns: Int

    /// A tensor as a stack; `nil` if its name is not that of one, or it has other dimensions than a stack of matrices.
    init?(_ tensor: TensorInventory) {
        guard tensor.shape.count == 3, tensor.floatingType != nil, tensor.elementCount > 0,
            Self.isStackName(tensor.name)
        else { return nil }
        self.init(declared: tensor)
    }

    /// A tensor of three dimensions that the job declares as a stack.
    init(declared tensor: TensorInventory) {
        self.tensor = tensor
        module = tensor.name.hasSuffix(".weight") ? String(tensor.name.dropLast(7)) : tensor.name
        (count, rows, columns) = (tensor.shape[0], tensor.shape[1], tensor.shape[2])
    }

    /// A matrix that holds the rows of all experts below each other, as DBRX stores them; `nil` for any other, and
    /// where the base's configuration does not tell how many they are.
    init?(flat tensor: TensorInventory, in base: CheckpointInventory) {
        guard Self.isFlat(tensor), let count = base.configuration?.expertCount, count > 0,
            tensor.shape[0].isMultiple(of: count)
        else { return nil }
        self.tensor = tensor
        module = tensor.name
        (self.count, rows, columns) = (count, tensor.shape[0] / count, tensor.shape[1])
    }

    /// A tensor of a base as a stack, in three dimensions or in two.
    init?(_ tensor: TensorInventory, in base: CheckpointInventory) {
        if let stack = ExpertStack(tensor) {
            self = stack
        } else if let flat = ExpertStack(flat: tensor, in: base) {
            self = flat
        } else {
            return nil
        }
    }

    /// Whether a matrix holds all experts by its name.
    static func isFlat(_ tensor: TensorInventory) -> Bool {
        guard tensor.shape.count == 2, tensor.floatingType != nil, tensor.elementCount > 0 else { return false }
        let modules = tensor.name.split(separator: ".").suffix(3)
        return modules.dropLast().elementsEqual(["experts", "mlp"]) && modules.last.map(flatNames.contains) ?? false
    }

    /// Whether a tensor holds the biases of all experts, one row for each.
    static func isBias(_ tensor: TensorInventory) -> Bool {
        tensor.shape.count == 2 && (tensor.name.hasSuffix("_bias") || tensor.name.hasSuffix(".bias"))
            && isStackName(tensor.name)
    }

    // MARK: - Names

    /// Modules that hold the experts' weights without a module `experts` above them.
    private static let stackModules: Set<Substring> = ["input_linear", "output_linear"]
    /// The weights of DBRX; the experts of the last one are `[d_in, d_out]`.
    private static let flatNames: Set<Substring> = ["w1", "v1", "w2"]
    /// Names of weights whose inputs are the model's hidden states.
    private static let readingNames: Set<Substring> = [
        "gate_up_proj", "gate_proj", "up_proj", "w1", "w3", "input_linear", "fc1",
    ]
    /// Names of weights whose outputs are the model's hidden states.
    private static let writingNames: Set<Substring> = ["down_proj", "w2", "output_linear", "fc2"]
    /// Names of weights whose outputs are those of a gate and then those of its partner.
    static let fusedNames: Set<Substring> = ["gate_up_proj", "input_linear"]

    /// Whether the name is that of a tensor of all experts: none of its modules is the number of an expert.
    private static func isStackName(_ name: String) -> Bool {
        let modules = name.split(separator: ".")
        if let experts = modules.lastIndex(of: "experts") {
            let below = modules[(experts + 1)...]
            return !below.isEmpty && below.allSatisfy { Int($0) == nil }
        }
        return modules.contains("block_sparse_moe") && modules.contains(where: stackModules.contains)
    }

    /// The last module, such as `gate_up_proj`.
    private var role: Substring { module.split(separator: ".").last ?? "" }

    /// Whether an expert's outputs are those of a gate and those of its partner.
    var isFused: Bool { Self.fusedNames.contains(role) }

    // MARK: - Architectures

    /// Architectures whose files store experts as `[d_in, d_out]`.
    private static let transposed: Set<String> = [
        "aria", "aria_text", "gpt_oss", "llama4", "llama4_text", "qwen3_vl_moe", "qwen3_vl_moe_text",
    ]
    /// Architectures whose files store experts as `[d_out, d_in]`.
    private static let plain: Set<String> = [
        "deepseek_v2", "deepseek_v3", "dots1", "ernie4_5_moe", "flex_olmo", "glm4_moe", "glm4v_moe", "granitemoe",
        "granitemoehybrid", "granitemoeshared", "hunyuan_v1_moe", "jamba", "jetmoe", "lfm2_moe", "minimax", "mixtral",
        "olmoe", "phimoe", "qwen2_moe", "qwen3_moe", "qwen3_next",
    ]
    /// Architectures whose gates and partners take turns.
    private static let interleaved: Set<String> = ["gpt_oss"]

    /// The layout that the model's `config.json` tells: by the width of hidden states, else by the architecture.
    ///
    /// A dimension of another width than the hidden states proves the layout. In an expert of equal widths only the
    /// architecture tells it.
    func layout(by base: CheckpointInventory) -> Located<WeightLayout>? {
        let location = base.configuration?.location ?? base.location
        if tensor.shape.count == 2 { return Located(role == "w2" ? .inOut : .outIn, at: location) }
        if let hidden = base.configuration?.hiddenSize, rows != columns, [rows, columns].contains(hidden) {
            let place = "\(location) (hidden_size \(hidden))"
            if Self.readingNames.contains(role) { return Located(rows == hidden ? .inOut : .outIn, at: place) }
            if Self.writingNames.contains(role) { return Located(rows == hidden ? .outIn : .inOut, at: place) }
        }
        let known = Self.types(of: base).first { Self.transposed.contains($0) || Self.plain.contains($0) }
        return known.map { type in
            Located(Self.transposed.contains(type) ? .inOut : .outIn, at: "\(location) (model_type \"\(type)\")")
        }
    }

    /// Whether the base's architecture stores gates and partners in turns.
    static func isInterleaved(in base: CheckpointInventory) -> Bool {
        types(of: base).contains(where: interleaved.contains)
    }

    /// The architecture of the language model, then that of the whole model.
    private static func types(of base: CheckpointInventory) -> [String] {
        let part = base.configuration?.values["text_config.model_type"].map { text in
            String(text.drop { $0 == "\"" }.prefix { $0 != "\"" })
        }
        return [part, base.modelType].compactMap { $0 }
    }
}

extension ModelConfiguration {
    /// The number of experts of a layer.
    fileprivate var expertCount: Int? {
        ["ffn_config.moe_num_experts", "moe_num_experts", "num_local_experts", "num_experts"].lazy
            .compactMap { values[$0].flatMap { Int($0) } }.first
    }

    /// The width of the language model's hidden states.
    fileprivate var hiddenSize: Int? {
        (values["text_config.hidden_size"] ?? values["hidden_size"]).flatMap { Int($0) }
    }
}
