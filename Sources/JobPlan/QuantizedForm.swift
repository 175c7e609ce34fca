/// A form in which a quantiser stores weights: codes, with scales beside them.
///
/// It is recognised by names and types of tensors. Sources: the formats of Hugging Face transformers,
/// compressed-tensors, GPTQ, AWQ and bitsandbytes.
enum QuantizedForm: String, CaseIterable {
    case blockFloat8 = "FP8 in blocks (weight_scale_inv)"
    case float8 = "FP8 (weight_scale)"
    case compressed = "compressed-tensors (weight_packed)"
    case microscaling = "MXFP4 (blocks and scales)"
    case gptq = "GPTQ (qweight, g_idx)"
    case awq = "AWQ (qweight, qzeros)"
    case bitsandbytes = "bitsandbytes (absmax, quant_map)"

    /// What to do about a model of this form, as a clause.
    var remedy: String {
        let load = "Load the model with transformers and"
        return switch self {
        case .blockFloat8, .float8: "\(load) FineGrainedFP8Config(dequantize=True), save it as BF16, and name that"
        case .compressed: "\(load) CompressedTensorsConfig(run_compressed=False), save it as BF16, and name that"
        case .microscaling: "\(load) Mxfp4Config(dequantize=True), save it as BF16, and name that"
        case .gptq, .awq: "Name the model that it was made from"
        case .bitsandbytes: "Load the model with transformers, call model.dequantize(), save it as BF16, and name that"
        }
    }

    /// The form of a checkpoint, with the names of its codes; `nil` if no weight is quantised in a known form.
    static func find(in checkpoint: CheckpointInventory) -> (form: QuantizedForm, names: [String])? {
        var found: [QuantizedForm: [String]] = [:]
        let tensors = checkpoint.tensors
        for (name, tensor) in tensors {
            if let form = form(of: name, tensor.elementType, beside: tensors) { found[form, default: []].append(name) }
        }
        guard
            let (form, names) = found.max(by: { ($0.value.count, $1.key.rawValue) < ($1.value.count, $0.key.rawValue) })
        else { return nil }
        return (form, names.sorted())
    }

    /// The form of one tensor of codes.
    private static func form(
        of name: String, _ type: String, beside tensors: [String: TensorInventory]
    ) -> QuantizedForm? {
        if type.hasPrefix("F8_") {
            return tensors["\(name)_scale_inv"] != nil ? .blockFloat8 : tensors["\(name)_scale"] != nil ? .float8 : nil
        }
        if name.hasSuffix(".weight_packed") { return .compressed }
        if name.hasSuffix(".qweight") {
            return tensors["\(name.dropLast(7))g_idx"] != nil ? .gptq : .awq
        }
        if type == "U8", name.hasSuffix("_blocks"), tensors["\(name.dropLast(6))scales"] != nil {
            return .microscaling
        }
        let isCoded = ["U8", "I8"].contains(type) && name.hasSuffix(".weight")
        let hasState = ["absmax", "quant_map"].contains { tensors["\(name).\($0)"] != nil }
        if isCoded, hasState || tensors["\(name.dropLast(6))SCB"] != nil { return .bitsandbytes }
        return isCoded && tensors["\(name)_scale"] != nil ? .compressed : nil
    }
}

extension CheckpointInventory {
    /// The form in which its weights are quantised, in words; `nil` for none that is known.
    public var quantizedForm: String? { QuantizedForm.find(in: self)?.form.rawValue }

    /// Whether its configuration states a quantisation although no tensor has codes.
    var isOnlyStatedQuantized: Bool {
        isQuantized && !tensors.isEmpty && tensors.values.allSatisfy { $0.floatingType != nil || $0.isBuffer }
            && QuantizedForm.find(in: self) == nil
    }
}

extension JobSpec {
    /// A type for the merged model that would round the numbers that decode its codes.
    func quantizationProblems(_ inventory: JobInventory) -> [JobProblem] {
        guard outputs.contains(.merged), checkpoint.adapterRank == nil, let outputType else { return [] }
        let kinds = TensorKinds([inventory.base])
        let rounded = inventory.base.tensors.values.filter { tensor in
            tensor.floatingType.map { $0 != outputType } ?? false && kinds.kind(of: tensor) == .encoded
        }.map(\.name).sorted()
        guard !rounded.isEmpty else { return [] }
        return [
            JobProblem(
                at: fileName,
                "\"dtype\" would change the type of \(rounded.quotedList), which \(rounded.count == 1 ? "decodes" : "decode") "
                    + "weights that are stored as codes. Leave it out.")
        ]
    }

    /// Remarks about models whose configurations state a quantisation that their tensors do not have.
    func quantizationNotices(_ inventory: JobInventory) -> [JobNotice] {
        guard outputs.contains(.merged) else { return [] }
        let models = [inventory.base] + mergedTasks.compactMap { inventory.checkpoints[$0.name] }
        return models.enumerated().filter { $0.element.isOnlyStatedQuantized }.map { position, model in
            JobNotice(
                at: model.configuration?.location ?? model.location,
                "config.json has a quantization_config, but the tensors are plain numbers, and are merged as such."
                    + (position == 0 ? " The merged model keeps the entry: remove it unless the loader needs it." : ""))
        }
    }
}
