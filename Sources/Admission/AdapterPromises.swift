import Identifiers
import JobFiles
import JobPlan

/// The whole tensors that an adapter's settings say were trained, of which a file that lacks them lost what was learnt.
///
/// Source: PEFT, `peft/utils/other.py` (`_set_trainable`) and `peft/tuners/tuners_utils.py`
/// (`_mark_only_adapters_as_trainable`).
struct AdapterPromises {
    let configuration: AdapterConfiguration
    /// The model that the adapter changes.
    let parent: CheckpointInventory
    let spec: JobSpec

    /// Names of `modules_to_save` that PEFT adds for a kind of task, whether the model has such modules or not.
    private static let added: Set<String> = ["classifier", "qa_outputs", "score"]

    /// A sentence for each setting of which tensors are missing.
    ///
    /// - Parameters:
    ///   - own: What the adapter changes, by its own names.
    ///   - renamed: The same by the names of the model.
    ///   - task: The task, for messages.
    /// - Returns: The sentences.
    func problems(own: AdapterInventory, renamed: AdapterInventory, task: TaskName) -> [String] {
        let ignored = IgnoredTensors(spec)
        func isMissing(_ name: String) -> Bool {
            renamed.replacements[name] == nil && renamed.updates[name] == nil && !ignored.contains(name)
                && parent.tensors[name].map { !$0.isBuffer } ?? true
        }
        let modules = configuration.savedModules.compactMap { module -> String? in
            let missing = parent.tensors.keys.filter { Self.isPart($0, of: module) && isMissing($0) }
            let isAnywhere =
                own.replacements.keys.contains { Self.isPart($0, of: module) }
                || parent.tensors.keys.contains { Self.isPart($0, of: module) } || Self.added.contains(module)
            guard !missing.isEmpty || !isAnywhere else { return nil }
            return sentence(
                "\"modules_to_save\" with \"\(module.excerpt)\"", missing.isEmpty ? ["\(module).weight"] : missing, task
            )
        }
        let biases = parent.tensors.values.filter { isTrainedBias($0, renamed) && isMissing($0.name) }.map(\.name)
        guard !biases.isEmpty else { return modules }
        return modules + [sentence("\"bias\": \"\(configuration.biases.rawValue)\"", biases, task)]
    }

    /// A remark on matrices of the model that the settings name and the file has no factors for; `nil` for none.
    ///
    /// It is no problem, since the adapter may have been trained on a part of the model.
    ///
    /// - Parameters:
    ///   - adapter: What the adapter changes, by the names of the model.
    ///   - task: The task, for messages.
    /// - Returns: The sentence.
    func remark(on adapter: AdapterInventory, task: TaskName) -> String? {
        let suffix = ".weight"
        let named = parent.tensors.values.filter { tensor in
            guard tensor.shape.count == 2, tensor.name.hasSuffix(suffix) else { return false }
            let module = tensor.name.dropLast(suffix.count)
            return configuration.targetModules.contains { module == $0 || module.hasSuffix(".\($0)") }
        }
        let missing = named.map(\.name).filter {
            adapter.updates[$0] == nil && adapter.replacements[$0] == nil
        }.sorted().map { "\"\($0)\"" }
        guard !missing.isEmpty else { return nil }
        return "the adapter of task \"\(task)\" has no factors of \(missing.count) of the \(named.count) matrices that "
            + "\"target_modules\" names: \(missing.listed(limit: 8)). They stay as they are; if they were trained, save "
            + "the adapter again with PEFT."
    }

    /// A remark on factors of modules that the settings do not name; `nil` for none.
    ///
    /// PEFT saves none, and would not load them.
    ///
    /// - Parameters:
    ///   - adapter: What the adapter changes, by its own names.
    ///   - task: The task, for messages.
    /// - Returns: The sentence.
    func strangers(in adapter: AdapterInventory, task: TaskName) -> String? {
        let suffix = ".weight"
        let names = adapter.updates.keys.filter {
            $0.hasSuffix(suffix) && !configuration.names(String($0.dropLast(suffix.count)))
        }.sorted().map { "\"\($0)\"" }
        guard !names.isEmpty else { return nil }
        let settings =
            configuration.restrictsLayers
            ? "\"target_modules\" and \"layers_to_transform\" do not name" : "\"target_modules\" does not name"
        return
            "the adapter of task \"\(task)\" has factors of \(names.count) \(names.count == 1 ? "matrix" : "matrices") "
            + "that \(settings): \(names.listed(limit: 8)). They are added; PEFT would leave them out. Correct "
            + "\(AdapterConfiguration.fileName), or save the adapter again with PEFT."
    }

    private func isTrainedBias(_ tensor: TensorInventory, _ adapter: AdapterInventory) -> Bool {
        guard tensor.shape.count == 1, tensor.name.split(separator: ".").last == "bias" else { return false }
        return switch configuration.biases {
        case .none: false
        case .all: true
        case .adapted: adapter.updates["\(tensor.name.dropLast("bias".count))weight"] != nil
        }
    }

    /// Whether a tensor is of a module, or of one inside it, whose path ends with a text.
    private static func isPart(_ tensor: String, of module: String) -> Bool {
        var path = tensor[...]
        while let dot = path.lastIndex(of: ".") {
            path = path[..<dot]
            if path.hasSuffix(module) { return true }
        }
        return false
    }

    private func sentence(_ setting: String, _ missing: [String], _ task: TaskName) -> String {
        let names = missing.sorted().map { "\"\($0)\"" }.listed(limit: 8)
        return
            "\(AdapterConfiguration.fileName) has \(setting), so \(names) of the adapter of task \"\(task)\" "
            + "\(missing.count == 1 ? "was" : "were") trained, but the file lacks \(missing.count == 1 ? "it" : "them"). "
            + "Save the adapter again with PEFT, or add \(missing.count == 1 ? "it" : "them") to \"ignore\"."
    }
}
