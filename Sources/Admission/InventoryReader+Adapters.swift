import FileAccess
import Identifiers
import JobFiles
import JobPlan
import LinearAlgebra
import Safetensors
import SystemPackage
import UnitOperations

/// Models that are PEFT adapters: the base's tensors, some of which an adapter changes.
extension InventoryReader {
    /// What a model's path names, if it names an adapter.
    struct AdapterReference {
        /// The adapter's directory.
        let directory: FilePath
        /// The model that it changes; `nil` for the job's base.
        let parent: FilePath?
    }

    /// The adapter that a path names; `nil` for anything else.
    ///
    /// mergekit writes `model+adapter` for an adapter of a named model.
    func adapter(named written: String) -> AdapterReference? {
        if let directory = adapterDirectory(paths.absolute(written)) {
            return AdapterReference(directory: directory, parent: nil)
        }
        let parts = written.split(separator: "+", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !exists(paths.absolute(written)),
            let directory = adapterDirectory(paths.absolute(String(parts[1])))
        else { return nil }
        return AdapterReference(directory: directory, parent: paths.absolute(String(parts[0])))
    }

    private func exists(_ path: FilePath) -> Bool { (try? roots.kind(of: path)) != nil }

    /// The directory of an adapter; `nil` without one, and for a model that has such a file beside its weights.
    private func adapterDirectory(_ path: FilePath) -> FilePath? {
        guard let kind = try? roots.kind(of: path) else { return nil }
        let directory = kind == .directory ? path : path.removingLastComponent()
        guard kind == .directory || path.lastComponent?.string == AdapterConfiguration.tensorsName,
            let names = try? roots.names(in: directory), names.contains(AdapterConfiguration.fileName),
            names.contains(AdapterConfiguration.tensorsName)
                || !names.contains(where: { $0.hasSuffix(".safetensors") })
        else { return nil }
        return directory
    }

    /// Reads a task's adapter, and applies it to its model.
    mutating func readAdapter(_ reference: AdapterReference, of task: TaskSpec, _ model: Located<String>) {
        guard let parent = parent(of: reference, task, model) else { return }
        let configuration: AdapterConfiguration
        let file: SafetensorsFile
        do {
            configuration = try AdapterConfiguration(in: reference.directory, within: roots)
            file = try SafetensorsFile(
                opening: reference.directory.appending(AdapterConfiguration.tensorsName), within: roots)
        } catch let error as JobFileError {
            return report(error.sentences, at: model, key: "model")
        } catch let error as SafetensorsError {
            return report(error.sentences, at: model, key: "model")
        } catch {
            return report(["\(reference.directory): \(error)"], at: model, key: "model")
        }
        let number = register(file, role: "adapter of task \"\(task.name)\"")
        var tensors = AdapterTensors(file: file, number: number, configuration: configuration)
        let found = renamed(tensors.inventory(), of: task)
        var problems = tensors.problems
        if problems.isEmpty, depth == .contents { problems += nonFiniteFactors(of: found, in: file) }
        var (checkpoint, misfits) = found.applied(to: parent, task: task.name, ignoring: IgnoredTensors(spec))
        problems += misfits
        guard problems.isEmpty else {
            self.problems += problems.map { JobProblem(at: file.path.string, $0) }
            return
        }
        checkpoint.location = reference.directory.string
        checkpoint.adapter = AdapterSource(
            file: number, configurationPath: JobPaths.resolved(configuration.location).string,
            configurationByteCount: configuration.bytes.count,
            configurationDigest: BlobDigest(sha256: FileDigest.sha256(of: configuration.bytes)))
        inventory.checkpoints[task.name] = checkpoint
        inventory.notices.append(JobNotice(at: reference.directory.string, found.description(of: task.name)))
    }

    /// The checkpoint that an adapter changes; `nil` if it cannot be read, which is a problem already.
    private mutating func parent(
        of reference: AdapterReference, _ task: TaskSpec, _ model: Located<String>
    ) -> CheckpointInventory? {
        guard let base else { return nil }
        guard let path = reference.parent else { return inventory.base }
        guard let set = openSet(path, for: model, what: "model") else { return nil }
        guard !Self.isSame(set, base) else { return inventory.base }
        var checkpoint = renamed(checkpoint(set, at: path, role: "checkpoint of task \"\(task.name)\""), of: task)
        TiedTensors(files: openFiles).settle(&checkpoint, against: inventory.base)
        return checkpoint
    }

    /// A sentence for each factor with a value that is not finite; one would spread over whole rows.
    private func nonFiniteFactors(of adapter: AdapterInventory, in file: SafetensorsFile) -> [String] {
        adapter.updates.values.flatMap(\.tensors).sorted { $0.name < $1.name }.compactMap { tensor in
            // Factors that cannot be read are reported when they are.
            guard let type = tensor.floatingType,
                let bytes = try? file.bytes(of: tensor.name, count: Int(tensor.slice.byteCount)),
                let first = type.firstNonFinite(in: bytes.span.bytes)
            else { return nil }
            return
                "tensor \"\(tensor.name)\" holds NaN or infinity, first in element \(first); expected finite factors. "
                + "Save the adapter again, or leave it out."
        }
    }
}

/// Sorts the tensors of an adapter's file by what they change.
private struct AdapterTensors {
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

    mutating func inventory() -> AdapterInventory {
        var modules: [String: Module] = [:]
        var replacements: [String: TensorInventory] = [:]
        for tensor in CheckpointInventory.tensors(of: file, numbered: number) {
            let name = AdapterTensorName(tensor.name)
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
        for (path, module) in modules.sorted(by: { $0.key < $1.key }) {
            let weight = "\(path).weight"
            if let update = pair(
                module, path, .down, .up, form: .weight(isTransposed: configuration.isTransposed))
            {
                updates[weight] = update
                if let bias = module.tensors[.upBias] {
                    updates["\(path).bias"] = AdapterInventory.Update(
                        form: .bias, up: bias, down: nil, scale: update.scale)
                }
            } else if let bias = module.tensors[.upBias] {
                lacks("lora_A", bias)
            }
            if let update = pair(module, path, .embeddingDown, .embeddingUp, form: .embedding) {
                updates[weight] = update
            }
        }
        for name in updates.keys.sorted() {
            if let other = replacements[name], let update = updates[name] { repeated(update.up, other) }
        }
        return AdapterInventory(updates: updates, replacements: replacements)
    }

    /// A module's update from its two factors; `nil` without both.
    private mutating func pair(
        _ module: Module, _ path: String, _ down: AdapterTensorName.Role, _ up: AdapterTensorName.Role,
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
                form: form, up: up, down: down, scale: configuration.scale(of: path, rank: rank))
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
