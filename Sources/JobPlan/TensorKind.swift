public import LinearAlgebra

/// How a merge treats a tensor.
public enum TensorKind: Equatable, Sendable {
    /// Numbers that can be summed.
    case summed(ElementType)
    /// Weights in a form that cannot be summed: eight-bit and smaller floats, complex numbers, packed integers; and the
    /// numbers that decode them, such as scales.
    ///
    /// A scale alone is a number, but the weight is its product with codes, and a mean of products is no product of
    /// means.
    /// If models differ in such a tensor, copying the base's would lose what they learnt.
    case encoded
    /// A counter, a mask or an index, not a weight; the base's is copied.
    case buffer
}

/// Determines the kinds of a job's tensors from their types and names, and from the models' configurations.
///
/// Integers are packed weights in three cases: the model states that it is quantised (`quantization_config`), a
/// quantiser's scales, zeros or tables stand beside them, or they have a weight's name.
public struct TensorKinds: Sendable {
    private let isQuantized: Bool
    /// Modules and tensors that have a quantiser's tensors beside them.
    private let owners: Set<String>
    /// The tensors of codes, and their modules.
    private let coded: Set<String>

    /// Final name parts of the tensors that quantisers put beside packed weights (GPTQ, AWQ, bitsandbytes, HQQ, AQLM,
    /// compressed-tensors, torchao, QuIP#, EXL2, quanto).
    private static let companions: Set<String> = [
        "scales", "weight_scale", "weight_scale_inv", "scale_inv", "qscales", "scale_and_zero", "scales_and_zeros",
        "weight_global_scale", "zeros", "qzeros", "zero_point", "weight_zero_point", "absmax", "quant_map",
        "nested_absmax", "nested_quant_map", "quant_state", "SCB", "CB", "g_idx", "codebook", "codebooks", "lut",
        "weight_packed", "qweight", "q_weight", "q_scale", "q_scale_max", "q_groups", "q_group_map", "q_invperm",
        "_scale",
        "_data",
    ]
    /// Final name parts of numbers beside codes that no tensor of codes is recognised by.
    private static let parameters: Set<String> = companions.union([
        "input_scale", "output_scale", "input_global_scale", "weight_scale_2", "g_scale", "SU", "SV", "Wscale",
    ])
    /// Final name parts of numbers beside the codes of HQQ, which are ordinary names otherwise.
    private static let besidesPackedCodes: Set<String> = ["scale", "zero"]
    /// Ends of names of numbers that follow the name of their codes without a dot.
    private static let endings = ["_scale_inv", "_scale", "_scales"]
    /// Final name parts of integers that are weights.
    private static let weights: Set<String> = [
        "weight", "qweight", "weight_packed", "packed_weight", "qweight_packed", "q_weight", "_data", "W_q", "Qidxs",
        "codes", "in_proj_weight",
    ]
    /// Types in which no quantiser packs weights, unless its other tensors stand beside them.
    private static let counters: Set<String> = ["I64", "BOOL"]
    private static let integers: Set<String> = ["U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64", "BOOL"]

    /// Reads the names in all checkpoints of a job.
    public init(_ checkpoints: some Sequence<CheckpointInventory>) {
        let checkpoints = Array(checkpoints)
        var isQuantized = false
        var owners: Set<String> = []
        for checkpoint in checkpoints {
            isQuantized = isQuantized || checkpoint.isQuantized
            for name in checkpoint.tensors.keys { owners.formUnion(Self.owners(ofCompanion: name)) }
        }
        self.isQuantized = isQuantized
        self.owners = owners
        var coded: Set<String> = []
        for tensor in checkpoints.lazy.flatMap(\.tensors.values) where tensor.floatingType == nil {
            guard Self.codeKind(of: tensor, isQuantized, owners) == .encoded else { continue }
            let (module, last) = Self.split(tensor.name)
            coded.formUnion([tensor.name, module])
            if Self.weights.contains(last), Self.weights.contains(Self.split(module).last) {
                coded.insert(Self.split(module).module)
            }
        }
        self.coded = coded
    }

    /// The kind of a tensor; it is the same for all models' tensors of that name.
    public func kind(of tensor: TensorInventory) -> TensorKind {
        guard let type = tensor.floatingType else { return Self.codeKind(of: tensor, isQuantized, owners) }
        return decodes(tensor.name) ? .encoded : .summed(type)
    }

    /// Whether numbers of this name decode codes that stand beside them.
    private func decodes(_ name: String) -> Bool {
        guard !coded.isEmpty else { return false }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        if let place = parts.lastIndex(where: { Self.parameters.contains(String($0)) }), place > 0,
            coded.contains(parts[..<place].joined(separator: "."))
        {
            return true
        }
        let (module, last) = Self.split(name)
        if Self.besidesPackedCodes.contains(last), coded.contains("\(module).W_q") { return true }
        return Self.endings.contains { name.hasSuffix($0) && coded.contains(String(name.dropLast($0.count))) }
    }

    /// The kind of a tensor that is no number.
    private static func codeKind(
        of tensor: TensorInventory, _ isQuantized: Bool, _ owners: Set<String>
    ) -> TensorKind {
        guard integers.contains(tensor.elementType) else { return .encoded }
        guard tensor.elementType != "BOOL" else { return .buffer }
        let (module, last) = split(tensor.name)
        let isPacked =
            weights.contains(last) || companions.contains(last) || owners.contains(tensor.name)
            || (tensor.elementType == "U8" && ["_blocks", "_scales"].contains(where: last.hasSuffix))
            || (owners.contains(module) && last != "num_batches_tracked")
            || (isQuantized && !counters.contains(tensor.elementType) && tensor.elementCount > 1)
        return isPacked ? .encoded : .buffer
    }

    /// The possible owners of a quantiser's tensor: `a.weight` and `a` for `a.weight.absmax`, `a` for `a.scales`.
    private static func owners(ofCompanion name: String) -> [String] {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard let place = parts.lastIndex(where: { companions.contains(String($0)) }), place > 0 else { return [] }
        let owner = parts[..<place].joined(separator: ".")
        let (module, last) = split(owner)
        return weights.contains(last) ? [owner, module] : [owner]
    }

    private static func split(_ name: String) -> (module: String, last: String) {
        guard let dot = name.lastIndex(of: ".") else { return ("", name) }
        return (String(name[..<dot]), String(name[name.index(after: dot)...]))
    }
}
