/// The name of a tensor in an adapter's file: the module that it belongs to, and what it is there.
///
/// PEFT removes the adapter's own name (`default`) from the names when it saves them; other programs leave it.
///
/// Source: PEFT, `peft/utils/save_and_load.py`.
public struct AdapterTensorName: Equatable, Sendable {
    /// What a tensor is.
    public enum Role: Equatable, Sendable {
        /// LoRA's A of a linear layer or a convolution.
        case down
        /// LoRA's B of a linear layer or a convolution.
        case up
        /// The bias of LoRA's B.
        case upBias
        /// LoRA's A of an embedding.
        case embeddingDown
        /// LoRA's B of an embedding.
        case embeddingUp
        /// A tensor of DoRA, or of another method.
        case unknown
        /// A whole tensor of the model; the module is its full name.
        case replacement
    }

    /// The module's path in the model, or a replaced tensor's name.
    public let module: String
    /// What the tensor is.
    public let role: Role
    /// The adapter's own name, if the tensor's name has it.
    public let adapter: String?

    /// The words before a module's path.
    private static let wrapper = "base_model.model."

    /// Reads a tensor's name.
    public init(_ name: String) {
        let own = name.hasPrefix(Self.wrapper) ? name.dropFirst(Self.wrapper.count) : name[...]
        let parts = own.split(separator: ".", omittingEmptySubsequences: false)
        guard let place = parts.firstIndex(where: { $0.hasPrefix("lora_") }) else {
            (module, role, adapter) = (Self.replaced(parts), .replacement, nil)
            return
        }
        module = parts[..<place].joined(separator: ".")
        let rest = parts[(place + 1)...]
        let isEmbedding = parts[place].hasPrefix("lora_embedding_")
        // [weight], [default, weight], of an embedding [] and [default].
        let last = isEmbedding ? "weight" : rest.last ?? ""
        adapter = rest.count > (isEmbedding ? 0 : 1) ? rest.first.map(String.init) : nil
        guard rest.count <= (isEmbedding ? 1 : 2) else {
            role = .unknown
            return
        }
        role =
            switch (parts[place], last) {
            case ("lora_A", "weight"): .down
            case ("lora_B", "weight"): .up
            case ("lora_B", "bias"): .upBias
            case ("lora_embedding_A", _): .embeddingDown
            case ("lora_embedding_B", _): .embeddingUp
            default: .unknown
            }
    }

    /// Whether a tensor is the weight or the bias of the module itself, saved beside its factors.
    public static func isOfBaseLayer(_ name: String) -> Bool { name.split(separator: ".").contains("base_layer") }

    /// The model's name of a tensor that stands in a wrapper: `score.modules_to_save.default.weight`,
    /// `fc.base_layer.bias`.
    private static func replaced(_ parts: [Substring]) -> String {
        var parts = parts
        if let place = parts.firstIndex(of: "modules_to_save"), place + 2 < parts.count {
            parts.removeSubrange(place...place + 1)
        }
        if let place = parts.firstIndex(of: "base_layer") { parts.remove(at: place) }
        return parts.joined(separator: ".")
    }
}
