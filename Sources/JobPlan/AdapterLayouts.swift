import Identifiers

/// The layouts that a job or its base's architecture declares, for the modules that an adapter changes.
///
/// PEFT keeps one setting for all modules, and the last one decides. So it says nothing of a square weight.
struct AdapterLayouts {
    private let patterns: [(declared: LayoutPattern, glob: Glob)]
    private let architecture: WeightLayout?

    init(spec: JobSpec, base: CheckpointInventory) {
        patterns = spec.curvature.layouts.map { ($0, Glob($0.pattern.value)) }
        architecture = WeightLayouts.architecture(of: base)?.value
    }

    /// The layout of a module's weight; `nil` if nothing declares it.
    func layout(of tensor: String) -> WeightLayout? {
        guard tensor.hasSuffix(".weight") else { return nil }
        let module = String(tensor.dropLast(7))
        if let declared = patterns.first(where: { $0.glob.matches(module) }) { return declared.declared.layout }
        return WeightLayouts.isConvolution(module) ? architecture : nil
    }
}
