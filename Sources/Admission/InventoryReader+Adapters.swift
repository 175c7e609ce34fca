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
        /// The model that it changes, as the job file writes it; `nil` for the job's base.
        let parent: String?
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
        return AdapterReference(directory: directory, parent: String(parts[0]))
    }

    private func exists(_ path: FilePath) -> Bool { (try? roots.kind(of: path)) != nil }

    private func adapterDirectory(_ path: FilePath) -> FilePath? { AdapterDirectory.find(at: path, within: roots) }

    /// Reads a task's adapter, and applies it to its model.
    mutating func readAdapter(_ reference: AdapterReference, of task: TaskSpec, _ model: Located<String>) {
        guard let parent = parent(of: reference, task, model) else { return }
        let configuration: AdapterConfiguration
        let file: SafetensorsFile
        do {
            configuration = try AdapterConfiguration(in: reference.directory, within: roots)
            if let problem = AdapterDirectory.problem(of: reference.directory, within: roots) {
                return report([problem], at: model, key: "model")
            }
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
        let own = tensors.inventory()
        let found = withoutCopies(renamed(own, of: task), of: parent)
        var problems = tensors.problems
        if problems.isEmpty, depth == .contents { problems += nonFiniteFactors(of: found, task, in: file) }
        var (checkpoint, misfits) = found.applied(to: parent, task: task.name, of: spec)
        problems += misfits
        let promises = AdapterPromises(configuration: configuration, parent: parent, spec: spec)
        if misfits.isEmpty {
            problems += promises.problems(own: own, renamed: found, task: task.name)
        }
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
        let remarks = [promises.remark(on: found, task: task.name), promises.strangers(in: own, task: task.name)]
        for remark in remarks.compactMap({ $0 }) {
            inventory.notices.append(JobNotice(at: reference.directory.string, remark))
        }
        let shared = found.sharedEmbeddings(of: parent)
        guard !shared.isEmpty else { return }
        inventory.notices.append(
            JobNotice(
                at: reference.directory.string,
                "the adapter of task \"\(task.name)\" changes \(shared.map { "\"\($0)\"" }.listed(limit: 8)), which the model's output head shares: "
                    + "the head changes with it, as by PEFT's merge_and_unload(). While it trains, PEFT leaves the head as it "
                    + "was; to keep that, give the base a head of its own: save it with \"tie_word_embeddings\": false and a "
                    + "copy of the embedding as the head."))
    }

    /// The checkpoint that an adapter changes; `nil` if it cannot be read, which is a problem already.
    private mutating func parent(
        of reference: AdapterReference, _ task: TaskSpec, _ model: Located<String>
    ) -> CheckpointInventory? {
        guard let base else { return nil }
        guard let written = reference.parent else { return inventory.base }
        let path = paths.absolute(written)
        guard let set = openSet(path, for: Located(written, at: model.location), what: "model") else { return nil }
        guard !Self.isSame(set, base) else { return inventory.base }
        var checkpoint = renamed(checkpoint(set, at: path, role: "checkpoint of task \"\(task.name)\""), of: task)
        TiedTensors(files: openFiles).settle(&checkpoint, against: inventory.base)
        return checkpoint
    }

    /// An adapter without the weights that PEFT saves beside the factors of embeddings and heads, where they are the
    /// model's own.
    private func withoutCopies(_ adapter: AdapterInventory, of parent: CheckpointInventory) -> AdapterInventory {
        guard depth == .contents else { return adapter }
        let comparison = TensorComparison(files: openFiles)
        return adapter.withoutReplacements { name, own in
            guard adapter.updates[name] != nil, let tensor = parent.tensors[name] else { return false }
            let isOther =
                try? own.elementType == tensor.elementType
                ? comparison.differ(own, tensor) : comparison.valuesDiffer(own, tensor)
            return isOther == false
        }
    }

    /// A sentence for each factor with a value that is not finite; one would spread over whole rows.
    ///
    /// As of whole models, tensors of weight 0 are not read.
    private func nonFiniteFactors(
        of adapter: AdapterInventory, _ task: TaskSpec, in file: SafetensorsFile
    ) -> [String] {
        let settings = MergeSettings(spec: spec, base: inventory.base)
        let updates = adapter.updates.filter { settings.weight(of: task, tensor: $0.key) != 0 }
        return updates.values.flatMap(\.tensors).sorted { $0.name < $1.name }.compactMap { tensor in
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
