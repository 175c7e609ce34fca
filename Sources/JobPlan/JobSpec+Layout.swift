import Identifiers
import UnitOperations

extension JobSpec {
    /// Reports square layers of a model that stores other layers as `[in, out]`.
    ///
    /// A square's shape does not tell its orientation, and a wrong guess would merge its transpose.
    ///
    /// A base stores `[in, out]` when its stated architecture uses Conv1D for linear maps, or when a layer's bias is as
    /// long as its weight's rows.
    func layoutProblems(_ blocks: [CurvatureBlock], _ base: CheckpointInventory) -> [JobProblem] {
        guard let evidence = Self.transposedLayer(in: base) else { return [] }
        let squares = blocks.filter { block in
            guard case .linear(let outputs, let inputs, _) = block.kind, outputs == inputs, outputs > 1 else {
                return false
            }
            return evidence.concerns(block.name)
        }
        guard let first = squares.first else { return [] }
        let more = squares.count > 1 ? " and \(squares.count - 1) more" : ""
        return [
            JobProblem(
                at: base.location,
                "the layer \"\(first.name)\"\(more) is square, and \(evidence.sentence), so it cannot be told whether its "
                    + "weight is [d_out, d_in] or [d_in, d_out]. Leave such layers out with \"layers\", or store the models "
                    + "with weights [d_out, d_in], as torch.nn.Linear has them.")
        ]
    }

    /// The evidence that a base stores layers as `[in, out]`.
    private enum TransposedLayer {
        case architecture(String)
        case layer(String, shape: [Int])

        var sentence: String {
            switch self {
            case .architecture(let name): "models of the type \"\(name)\" store linear layers as [d_in, d_out] (Conv1D)"
            case .layer(let name, let shape):
                "the base stores \"\(name).weight\" as \(shape) beside a bias of \(shape[1]), which is [d_in, d_out]"
            }
        }

        /// Whether the evidence concerns a layer; an architecture's name concerns only the layers made by Conv1D.
        func concerns(_ layer: String) -> Bool {
            guard case .architecture = self else { return true }
            return ["c_attn", "c_proj", "c_fc", "q_attn"].contains { layer == $0 || layer.hasSuffix(".\($0)") }
        }
    }

    private static let convolutionArchitectures: Set<String> = [
        "gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp",
    ]

    private static func transposedLayer(in base: CheckpointInventory) -> TransposedLayer? {
        for (name, weight) in base.tensors.sorted(by: { $0.key < $1.key }) where name.hasSuffix(".weight") {
            let layer = String(name.dropLast(7))
            guard weight.shape.count == 2, weight.shape[0] != weight.shape[1],
                let bias = base.tensors["\(layer).bias"], bias.shape == [weight.shape[1]]
            else { continue }
            return .layer(layer, shape: weight.shape)
        }
        guard let type = base.modelType, convolutionArchitectures.contains(type) else { return nil }
        return .architecture(type)
    }
}
