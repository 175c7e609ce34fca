import Identifiers

/// The layouts of the weights that an adapter changes.
///
/// PEFT decides by the class of each module: it takes `fan_in_fan_out` as false for `torch.nn.Linear`, and as true for
/// Conv1D. It saves one setting, which the last module decides. So the setting says nothing of a square weight: the
/// job, the model's architecture or the adapter's other weights tell it.
///
/// Source: PEFT, `peft/tuners/lora/model.py`, `dispatch_default`.
struct AdapterLayouts {
    private let patterns: [(declared: LayoutPattern, glob: Glob)]
    private let architecture: WeightLayout?
    /// Whether transformers makes all linear layers of the model's type `torch.nn.Linear`.
    private let isLinear: Bool
    /// The layouts that shapes show, by the module's own name: those of weights that are not square.
    private let shown: [Substring: Set<WeightLayout>]

    init(spec: JobSpec, base: CheckpointInventory, updates: [String: AdapterInventory.Update] = [:]) {
        patterns = spec.curvature.layouts.map { ($0, Glob($0.pattern.value)) }
        architecture = WeightLayouts.architecture(of: base)?.value
        isLinear = WeightLayouts.isLinear(base)
        var shown: [Substring: Set<WeightLayout>] = [:]
        for (name, update) in updates {
            guard let module = Self.module(name), let tensor = base.tensors[name],
                let layout = update.onlyLayout(of: tensor)
            else { continue }
            shown[Self.role(of: module), default: []].insert(layout)
        }
        self.shown = shown
    }

    /// The layout of a module's weight; `nil` if nothing tells it.
    func layout(of tensor: String) -> WeightLayout? {
        guard let module = Self.module(tensor) else { return nil }
        if let declared = patterns.first(where: { $0.glob.matches(module) }) { return declared.declared.layout }
        if let architecture { return WeightLayouts.isConvolution(module) ? architecture : .outIn }
        if isLinear { return .outIn }
        // Modules of one name are of one class, and mostly all modules are.
        let found = shown[Self.role(of: module)] ?? shown.values.reduce(into: []) { $0.formUnion($1) }
        return found.count == 1 ? found.first : nil
    }

    private static func module(_ tensor: String) -> String? {
        tensor.hasSuffix(".weight") ? String(tensor.dropLast(7)) : nil
    }

    private static func role(of module: String) -> Substring { module.split(separator: ".").last ?? "" }
}
