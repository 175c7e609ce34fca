import FileAccess
import JobFiles
import JobPlan
import NameMatching
import Safetensors
import SystemPackage

/// The `config.json` beside a model's tensors.
extension InventoryReader {
    /// Reads a model's `config.json`; a file that cannot be used is a notice, or a problem if it would be copied.
    mutating func description(besides set: SafetensorsSet) -> ModelDescription? {
        do throws(JobFileError) {
            return try ModelDescription.read(besides: set)
        } catch {
            if inventory.base.tensors.isEmpty, set.path == base?.path, copiesConfiguration(of: set),
                !error.isReadByPython
            {
                report(
                    [
                        "\(error) The merged model would have the same file, and could not be loaded. Copy the model's "
                            + "own config.json again."
                    ], at: spec.baseModel, key: spec.isBaseGiven ? "base_model" : "model")
                return nil
            }
            inventory.notices.append(
                JobNotice(
                    at: set.path.string,
                    "its config.json is not used, and so not compared with the other models': \(error)"))
            return nil
        }
    }

    /// Whether the job writes a model with the configuration of a base; a single file has none.
    private func copiesConfiguration(of set: SafetensorsSet) -> Bool {
        spec.outputs.contains(.merged) && spec.checkpoint.adapterRank == nil
            && (try? roots.kind(of: set.path)) == .directory
    }

    /// Says that the base's configuration is missing, or that it contradicts the tensors.
    mutating func noteConfiguration(besides set: SafetensorsSet) {
        guard copiesConfiguration(of: set) else { return }
        if let configuration = inventory.base.configuration {
            inventory.notices += StatedSizes(of: inventory.base).contradictions.map {
                JobNotice(at: configuration.location, $0)
            }
        } else if let names = try? roots.names(in: set.path), !names.contains("config.json"),
            names.contains(where: ModelFileName.isOfTransformers)
                || inventory.base.tensors.keys.contains("model.embed_tokens.weight")
        {
            inventory.notices.append(
                JobNotice(
                    at: set.path.string,
                    "the base has no config.json, so the merged model has none either, and transformers cannot load it. "
                        + "Copy the model's config.json beside its tensors."))
        }
    }
}
