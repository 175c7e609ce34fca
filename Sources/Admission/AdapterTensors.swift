import Identifiers
import JobFiles
import JobPlan
import Safetensors

/// Sorts the tensors of an adapter's file by what they change.
struct AdapterTensors {
    let file: SafetensorsFile
    let number: Int
    let configuration: AdapterConfiguration
    /// A sentence for each tensor that has no place.
    private(set) var problems: [String] = []

    init(file: SafetensorsFile, number: Int, configuration: AdapterConfiguration) {
        self.file = file
        self.number = number
        self.configuration = configuration
    }

    /// A module's factors.
    private struct Module {
        var tensors: [AdapterTensorName.Role: TensorInventory] = [:]
    }

    /// The changes; ``problems`` has the tensors without a place afterwards.
    mutating func inventory() -> AdapterInventory {
        var modules: [String: Module] = [:]
        var replacements: [String: TensorInventory] = [:]
        var adapters: Set<String> = []
        for tensor in CheckpointInventory.tensors(of: file, numbered: number) {
            let name = AdapterTensorName(tensor.name)
            if let adapter = name.adapter { adapters.insert(adapter) }
            switch name.role {
            case .unknown:
                problems.append(
                    "tensor \"\(tensor.name.excerpt)\" has no place in a LoRA adapter; expected lora_A, lora_B, "
                        + "lora_embedding_A, lora_embedding_B or a tensor of the model. Merge the adapter into its model "
                        + "first: model.merge_and_unload(), then model.save_pretrained().")
            case .replacement:
                if let other = replacements.updateValue(tensor, forKey: name.module) { repeated(tensor, other) }
            default:
                if let other = modules[name.module, default: Module()].tensors.updateValue(tensor, forKey: name.role) {
                    repeated(tensor, other)
                }
            }
        }
        var updates: [String: AdapterInventory.Update] = [:]
        let (paths, configuration) = (modules.keys.sorted(), configuration)
        let alphas = values { () throws(JobFileError) in try configuration.alphas(of: paths) }
        let ranks = values { () throws(JobFileError) in try configuration.ranks(of: paths) }
        for (path, module) in modules.sorted(by: { $0.key < $1.key }) {
            let weight = "\(path).weight"
            if let update = pair(
                module, alphas[path], .down, .up, form: .weight(isTransposed: configuration.isTransposed))
            {
                updates[weight] = update
                if let bias = module.tensors[.upBias] {
                    updates["\(path).bias"] = AdapterInventory.Update(
                        form: .bias, up: bias, down: nil, scale: update.scale)
                }
            } else if let bias = module.tensors[.upBias] {
                lacks("lora_A", bias)
            }
            if let update = pair(module, alphas[path], .embeddingDown, .embeddingUp, form: .embedding) {
                if let other = updates.updateValue(update, forKey: weight) { repeated(update.up, other.up) }
            }
        }
        for name in updates.keys.sorted() {
            // PEFT saves the weight itself beside the factors of a resized embedding or head.
            guard let other = replacements[name], let update = updates[name],
                !AdapterTensorName.isOfBaseLayer(other.name)
            else { continue }
            repeated(update.up, other)
        }
        problems += contradictions(in: modules, ranks)
        if adapters.count > 1 {
            problems.append(
                "the file holds the adapters \(adapters.sorted().map { "\"\($0)\"" }.listed(limit: 8)); expected one. Save one adapter alone."
            )
        }
        return AdapterInventory(updates: updates, replacements: replacements)
    }

    /// Values by module; none where that takes too long, which is a problem then.
    private mutating func values(_ read: () throws(JobFileError) -> [String: Double]) -> [String: Double] {
        do throws(JobFileError) { return try read() } catch {
            problems += error.sentences
            return [:]
        }
    }

    /// Sentences about modules whose factors are not those that the settings state.
    private func contradictions(in modules: [String: Module], _ ranks: [String: Double]) -> [String] {
        let settings = AdapterConfiguration.fileName
        var wrong: [(sentence: String, tensor: String)] = []
        for (path, module) in modules.sorted(by: { $0.key < $1.key }) {
            for role in [AdapterTensorName.Role.down, .embeddingDown] {
                guard let down = module.tensors[role], let stated = ranks[path], let rank = down.shape.first,
                    Double(rank) != stated
                else { continue }
                let sentence =
                    "tensor \"\(down.name.excerpt)\" \(down.elementType) \(down.shape) has the rank \(rank), but "
                    + "\(settings) states r = \(Int(exactly: stated).map(String.init) ?? "\(stated)") for it"
                wrong.append((sentence, down.name))
            }
        }
        guard let first = wrong.first else { return unbiased(modules) }
        let others = wrong.dropFirst().map { "\"\($0.tensor)\"" }
        let more = others.isEmpty ? "" : "; \(others.listed(limit: 4)) \(others.count == 1 ? "differs" : "differ") too"
        return unbiased(modules) + [
            "\(first.sentence)\(more). The product's factor is α by r, so both must agree: correct \"r\" or "
                + "\"rank_pattern\", or save the adapter again."
        ]
    }

    /// A sentence about factors without the bias that `lora_bias` states.
    private func unbiased(_ modules: [String: Module]) -> [String] {
        guard configuration.hasFactorBiases else { return [] }
        let lacking = modules.values.filter { $0.tensors[.upBias] == nil }.compactMap { $0.tensors[.up]?.name }.sorted()
        guard !lacking.isEmpty else { return [] }
        return [
            "\(lacking.map { "\"\($0)\"" }.listed(limit: 4)) \(lacking.count == 1 ? "has" : "have") no bias of the factor, but \(AdapterConfiguration.fileName) has \"lora_bias\": "
                + "true; expected one for each lora_B. Save the adapter again."
        ]
    }

    /// A module's update from its two factors; `nil` without both.
    private mutating func pair(
        _ module: Module, _ alpha: Double?, _ down: AdapterTensorName.Role, _ up: AdapterTensorName.Role,
        form: AdapterInventory.Update.Form
    ) -> AdapterInventory.Update? {
        let names = form == .embedding ? ("lora_embedding_A", "lora_embedding_B") : ("lora_A", "lora_B")
        switch (module.tensors[down], module.tensors[up]) {
        case (nil, nil): return nil
        case (let down?, nil):
            lacks(names.1, down)
            return nil
        case (nil, let up?):
            lacks(names.0, up)
            return nil
        case (let down?, let up?):
            let rank = max(1, down.shape.first ?? 1)
            return AdapterInventory.Update(
                form: form, up: up, down: down, scale: configuration.scale(alpha: alpha ?? 0, rank: rank))
        }
    }

    private mutating func lacks(_ factor: String, _ tensor: TensorInventory) {
        problems.append(
            "tensor \"\(tensor.name.excerpt)\" has no \(factor) beside it; expected both factors of a module. Save the "
                + "adapter again.")
    }

    private mutating func repeated(_ tensor: TensorInventory, _ other: TensorInventory) {
        problems.append(
            "tensors \"\(other.name.excerpt)\" and \"\(tensor.name.excerpt)\" change the same tensor; expected one of "
                + "them. Save the adapter again, with one adapter alone.")
    }
}
