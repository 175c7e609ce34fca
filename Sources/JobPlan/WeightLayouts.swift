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

        /// The contradiction in words, without the place of the first declaration.
        func sentence(about names: [String]) -> String {
            "the layout of \(names.quotedList) is \(first.value.rawValue) here, but \(other.value.rawValue) in "
                + "\(other.location). Correct one of them."
        }
    }

    private let patterns: [(declared: LayoutPattern, glob: Glob)]
    /// The layers whose weights the method merges as matrices, with or without curvature, or that adapters may change.
    private let matrixLayers: [String]
    private let files: [[String: Located<WeightLayout>]]
    /// The statement of an architecture whose Conv1D modules store `[d_in, d_out]`.
    private let architecture: Located<WeightLayout>?
    /// What the base's `config.json` tells about stacked experts, by module.
    private let stacks: [String: Located<WeightLayout>]
    /// The first name of each weight that the base stores twice, by the second.
    private let copies: [String: String]

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
        let base = inventory.base
        copies = base.copies
        architecture = Self.architecture(of: base)
        let stacks = base.tensors.values.compactMap { ExpertStack($0, in: base) }
        self.stacks = Dictionary(
            stacks.compactMap { stack in stack.layout(by: base).map { (stack.module, $0) } }, uniquingKeysWith: { $1 })
        let hasAdapter = inventory.checkpoints.values.contains { $0.adapter != nil }
        matrixLayers = base.tensors.values.compactMap { tensor in
            let isWhole =
                hasAdapter || spec.method.scope.mergesWhole(shape: [tensor.shape.first ?? 0, 1])
                || spec.checkpoint.adapterRank != nil
            switch tensor.shape.count {
            case 2 where isWhole && tensor.name.hasSuffix(".weight"): return String(tensor.name.dropLast(7))
            case 3 where isWhole: return ExpertStack(declared: tensor).module
            default: return nil
            }
        }
    }

    /// The declared layout of a layer.
    ///
    /// - Parameters:
    ///   - layer: The layer's name, with the address of a part.
    ///   - module: The name without the address.
    /// - Returns: The layout with the place of its first declaration; `nil` if nothing declares it.
    /// - Throws: ``Contradiction``.
    func declared(_ layer: String, module: String) throws(Contradiction) -> Located<WeightLayout>? {
        var declarations = patterns.filter { $0.glob.matches(layer) || $0.glob.matches(module) }.map {
            Located($0.declared.layout, at: $0.declared.pattern.location)
        }
        declarations += files.compactMap { $0[layer] }
        if let architecture, Self.isConvolution(module) { declarations.append(architecture) }
        // [d_out, d_in] is what a layer has without a declaration.
        if let stack = stacks[module], stack.value == .inOut || !declarations.isEmpty { declarations.append(stack) }
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
        let name = copies[name] ?? name
        guard name.hasSuffix(".weight") else { return nil }
        let layer = String(name.dropLast(7))
        return (try? declared(layer, module: layer))?.value
    }

    /// The layout of a stack's experts; `nil` if nothing tells it, or declarations contradict each other.
    func layout(ofStack stack: ExpertStack) -> Located<WeightLayout>? {
        (try? declared("\(stack.module)[0]", module: stack.module)) ?? (contradicts(stack) ? nil : stacks[stack.module])
    }

    /// Whether declarations of a stack contradict each other.
    func contradicts(_ stack: ExpertStack) -> Bool {
        do throws(Contradiction) {
            _ = try declared("\(stack.module)[0]", module: stack.module)
            return false
        } catch {
            return true
        }
    }

    /// Problems of stacks whose declarations contradict each other, one for each pair of places.
    func contradictions(ofStacks stacks: [ExpertStack]) -> [JobProblem] {
        var found: [[String]: (contradiction: Contradiction, tensors: [String])] = [:]
        for stack in stacks {
            do throws(Contradiction) {
                _ = try declared("\(stack.module)[0]", module: stack.module)
            } catch {
                found[[error.first.location, error.other.location], default: (error, [])].tensors.append(
                    stack.tensor.name)
            }
        }
        return found.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { _, found in
            JobProblem(at: found.contradiction.first.location, found.contradiction.sentence(about: found.tensors))
        }
    }

    /// Problems of patterns that match no layer.
    func problems(with layers: some Collection<String>) -> [JobProblem] {
        lazy var known = (layers + matrixLayers).sorted()
        return patterns.enumerated().compactMap { position, pattern in
            guard !layers.contains(where: pattern.glob.matches), !matrixLayers.contains(where: pattern.glob.matches)
            else { return nil }
            let written = pattern.declared.pattern
            let meant = position < JobFileLimits.suggestions ? suggestion(for: written.value, among: known) : ""
            let pattern = "the pattern \"\(written.value.excerpt)\" of \"layout\""
            guard !known.isEmpty else {
                return JobProblem(
                    at: written.location,
                    "\(pattern) has no effect: no layer has captures or factors, and the merge takes no tensor as a "
                        + "matrix. Remove it.")
            }
            let others = matrixLayers.isEmpty ? "" : " and the layers that are merged as matrices"
            return JobProblem(
                at: written.location,
                "\(pattern) matches none of \(layers.count) layers with captures or factors\(others).\(meant)")
        }
    }

    /// Whether a declaration comes from the base's architecture, which states nothing about other modules.
    func isArchitecture(_ declared: Located<WeightLayout>) -> Bool {
        declared == architecture || stacks.values.contains(declared)
    }

    /// Whether the base's architecture states a module's layout.
    func recognises(_ module: String) -> Bool {
        (architecture != nil && Self.isConvolution(module)) || stacks[module] != nil
    }

    // MARK: - Architectures

    /// The types of model whose linear layers are Conv1D modules.
    ///
    /// Source: the models of Hugging Face transformers.
    private static let architectures: Set<String> = ["gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp"]
    private static let convolutions: Set<Substring> = ["c_attn", "c_proj", "c_fc", "q_attn"]

    /// Whether a model's linear layers are `torch.nn.Linear`: its type is one of transformers, and none with Conv1D.
    static func isLinear(_ model: CheckpointInventory) -> Bool {
        guard let type = model.modelType, !architectures.contains(type) else { return false }
        // Code beside the model may define any class.
        return model.configuration.map { !$0.values.keys.contains { $0 == "auto_map" || $0.hasPrefix("auto_map.") } }
            ?? false
    }

    static func isConvolution(_ module: String) -> Bool {
        module.split(separator: ".").last.map(convolutions.contains) ?? false
    }

    /// What the base's architecture states about its Conv1D modules.
    ///
    /// Some programs store models of these types with `[d_out, d_in]`. The bias of one such layer shows it, and then
    /// the type states nothing.
    static func architecture(of base: CheckpointInventory) -> Located<WeightLayout>? {
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
