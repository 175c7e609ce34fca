import Foundation
import TestSupport
import Testing

/// A PEFT adapter that a test writes, and the full model that it stands for.
struct Adapter {
    /// The members of `adapter_config.json`, as JSON.
    var settings = ["peft_type": "\"LORA\"", "r": "2", "lora_alpha": "3", "bias": "\"none\""]
    var tensors: [Tensor] = []
    /// The changed tensors' values in fp64.
    private(set) var values: [String: [Double]] = [:]

    /// α/r of the settings.
    static let scale = 1.5

    init() {}

    /// Adds factors of rank 2 for a linear layer's weight, which may be stored as `[in, out]`.
    mutating func add(
        _ layer: String, of base: TensorFile, isTransposed: Bool = false, _ random: inout SplitMix64
    ) throws {
        let weight = try base.tensor("\(layer).weight")
        let (outputs, inputs) =
            isTransposed ? (weight.shape[1], weight.shape[0]) : (weight.shape[0], weight.shape[1])
        let down = random.values(2 * inputs).map { Float($0) }
        let up = random.values(outputs * 2).map { Float($0) }
        tensors.append(Tensor("base_model.model.\(layer).lora_A.weight", [2, inputs], down))
        tensors.append(Tensor("base_model.model.\(layer).lora_B.weight", [outputs, 2], up))
        var sum = weight.values
        for row in 0..<outputs {
            for column in 0..<inputs {
                for term in 0..<2 {
                    sum[isTransposed ? column * outputs + row : row * inputs + column] +=
                        Self.scale * Double(up[row * 2 + term]) * Double(down[term * inputs + column])
                }
            }
        }
        values[weight.name] = sum
    }

    /// Adds factors of rank 2 for an embedding `[vocabulary, dimension]`.
    mutating func addEmbedding(_ module: String, of base: TensorFile, _ random: inout SplitMix64) throws {
        let weight = try base.tensor("\(module).weight")
        let (words, width) = (weight.shape[0], weight.shape[1])
        let down = random.values(2 * words).map { Float($0) }
        let up = random.values(width * 2).map { Float($0) }
        tensors.append(Tensor("base_model.model.\(module).lora_embedding_A", [2, words], down))
        tensors.append(Tensor("base_model.model.\(module).lora_embedding_B", [width, 2], up))
        var sum = weight.values
        for word in 0..<words {
            for column in 0..<width {
                for term in 0..<2 {
                    sum[word * width + column] +=
                        Self.scale * Double(up[column * 2 + term]) * Double(down[term * words + word])
                }
            }
        }
        values[weight.name] = sum
    }

    /// Adds the bias of a layer's B.
    mutating func addBias(_ layer: String, of base: TensorFile, _ random: inout SplitMix64) throws {
        let bias = try base.tensor("\(layer).bias")
        let own = random.values(bias.shape[0]).map { Float($0) }
        tensors.append(Tensor("base_model.model.\(layer).lora_B.bias", bias.shape, own))
        values[bias.name] = zip(bias.values, own).map { $0 + Self.scale * Double($1) }
    }

    /// Adds a whole tensor, as `modules_to_save` and trained biases are.
    mutating func replace(_ tensor: Tensor) {
        tensors.append(tensor.renamed("base_model.model.\(tensor.name)"))
        values[tensor.name] = tensor.values
    }

    /// The model with the adapter merged into it, in fp32.
    func merged(into base: TensorFile) -> TensorFile {
        var merged = base
        merged.tensors = base.tensors.map { tensor in
            guard tensor.elementType != .int64 else { return tensor }
            return Tensor(tensor.name, tensor.shape, (values[tensor.name] ?? tensor.values).map { Float($0) })
        }
        return merged
    }

    /// Writes the adapter's two files.
    ///
    /// - Throws: what Foundation throws when a file cannot be written.
    func write(to directory: String) throws {
        try TensorFile(tensors, metadata: ["format": "pt"]).write(to: "\(directory)/adapter_model.safetensors")
        let members = settings.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }
        try Data("{\(members.joined(separator: ", "))}".utf8).write(
            to: URL(fileURLWithPath: "\(directory)/adapter_config.json"))
    }
}
