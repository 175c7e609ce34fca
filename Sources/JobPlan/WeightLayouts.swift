import Identifiers
import NameMatching
import TaskArithmetic

/// What a job, its files and the base's architecture declare about the layout of layers.
///
/// A layout is never guessed: a square's shape does not tell it, and a wrong guess would merge its transpose.
struct WeightLayouts {
    /// Two declarations of a layer that contradict each other.
    struct Contradiction: Error, Equatable {
        let first: Located<WeightLayout>
        let other: Located<WeightLayout>
    }

    private let patterns: [(declared: LayoutPattern, glob: Glob)]
    /// The layers whose weights the method merges as matrices, with or without curvature.
    private let matrixLayers: [String]
    private let files: [[String: Located<WeightLayout>]]
    /// The statement of an architecture whose Conv1D modules store `[d_in, d_out]`.
    private let architecture: Located<WeightLayout>?

    /// Collects the declarations of a job.
    init(spec: JobSpec, inventory: JobInventory) {
        patterns = spec.curvature.layouts.map { ($0, Glob($0.pattern.value)) }
        files = spec.tasks.flatMap { task in
            [
                inventory.captures[task.name]?.layouts, inventory.factorSets[task.name]?.layouts,
                inventory.partials[task.name]?.layouts.mapValues {
                    Located($0, at: "partial sums of task \"\(task.name)\"")
                },
            ].compactMap { $0 }
        }
        architecture = Self.architecture(of: inventory.base)
        matrixLayers = inventory.base.tensors.values.filter {
            $0.shape.count == 2 && $0.name.hasSuffix(".weight") && spec.method.scope.mergesWhole(shape: $0.shape)
        }.map { String($0.name.dropLast(7)) }
    }

    /// The declared layout of a layer.
    ///
    /// - Parameters:
    ///   - layer: The layer's name, with the address of a part.
    ///   - module: The name without the address.
    /// - Returns: The layout with the place of its first declaration; `nil` if nothing declares it.
    /// - Throws: ``Contradiction``.
    func declared(_ layer: String, module: String) throws(Contradiction) -> Located<WeightLayout>? {
        var declarations = patterns.filter { $0.glob.matches(layer) }.map {
            Located($0.declared.layout, at: $0.declared.pattern.location)
        }
        declarations += files.compactMap { $0[layer] }
        if let architecture, Self.isConvolution(module) { declarations.append(architecture) }
        guard let first = declarations.first else { return nil }
        if let other = declarations.first(where: { $0.value != first.value }) {
            throw Contradiction(first: first, other: other)
        }
        return first
    }

    /// The declared layout of a tensor that is a layer's weight; `nil` if nothing declares it.
    ///
    /// Contradictions are problems of the layers with curvature, and are reported there.
    func layout(ofTensor name: String) -> WeightLayout? {
        guard name.hasSuffix(".weight") else { return nil }
        let layer = String(name.dropLast(7))
        return (try? declared(layer, module: layer))?.value
    }

    /// Problems of patterns that match no layer.
    func problems(with layers: some Collection<String>) -> [JobProblem] {
        lazy var known = (layers + matrixLayers).sorted()
        return patterns.enumerated().compactMap { position, pattern in
            guard !layers.contains(where: pattern.glob.matches), !matrixLayers.contains(where: pattern.glob.matches)
            else { return nil }
            let written = pattern.declared.pattern
            let meant = position < JobFileLimits.suggestions ? suggestion(for: written.value, among: known) : ""
            return JobProblem(
                at: written.location,
                "the pattern \"\(written.value.excerpt)\" of \"layout\" matches none of the \(layers.count) captured "
                    + "layers.\(meant)")
        }
    }

    /// Whether a declaration comes from the base's architecture, which states nothing about other modules.
    func isArchitecture(_ declared: Located<WeightLayout>) -> Bool { declared == architecture }

    /// Whether the base's architecture states a module's layout.
    func recognises(_ module: String) -> Bool { architecture != nil && Self.isConvolution(module) }

    // MARK: - Architectures

    /// The types of model whose linear layers are Conv1D modules.
    ///
    /// Source: the models of Hugging Face transformers.
    private static let architectures: Set<String> = ["gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp"]
    private static let convolutions: Set<Substring> = ["c_attn", "c_proj", "c_fc", "q_attn"]

    private static func isConvolution(_ module: String) -> Bool {
        module.split(separator: ".").last.map(convolutions.contains) ?? false
    }

    /// What the base's architecture states about its Conv1D modules.
    ///
    /// Some programs store models of these types with `[d_out, d_in]`. The bias of one such layer shows it, and then
    /// the type states nothing.
    private static func architecture(of base: CheckpointInventory) -> Located<WeightLayout>? {
        guard let type = base.modelType, architectures.contains(type) else { return nil }
        let isOtherwise = base.tensors.values.contains { weight in
            guard weight.shape.count == 2, weight.shape[0] != weight.shape[1], weight.name.hasSuffix(".weight") else {
                return false
            }
            let module = String(weight.name.dropLast(7))
            return isConvolution(module) && base.tensors["\(module).bias"]?.shape == [weight.shape[0]]
        }
        let place = base.configuration?.location ?? base.location
        return isOtherwise ? nil : Located(.inOut, at: "\(place) (model_type \"\(type)\", Conv1D)")
    }
}
