import Identifiers
import TaskArithmetic
import UnitOperations

extension JobSpec {
    /// The blocks that the job's method merges with factors.
    func mergedBlocks(among blocks: [CurvatureBlock], base: CheckpointInventory) -> [CurvatureBlock] {
        guard mergesWithFactors else { return [] }
        let copied = CopiedTensors(spec: self, base: base)
        let settings = MergeSettings(spec: self, base: base)
        return blocks.filter { block in
            // A parameter is no matrix.
            copied.mergesWhole(block)
                && (block.factors.count == 1 || block.tensors.allSatisfy { settings.mergesAsMatrix(tensor: $0) })
        }
    }

    /// Reports layers whose weight and bias have different parameters.
    ///
    /// A merge by factors treats both as one matrix, so one of the settings would be lost silently.
    func blockSettingProblems(_ blocks: [CurvatureBlock], _ inventory: JobInventory) -> [JobProblem] {
        let settings = MergeSettings(spec: self, base: inventory.base)
        let divided = mergedBlocks(among: blocks, base: inventory.base).filter { block in
            block.tensors.dropFirst().contains { other in
                !haveEqualSettings(block.tensors[0], other, settings)
            }
        }
        guard let first = divided.first else { return [] }
        let more = divided.count > 1 ? " (and so those of \(divided.count - 1) more layers)" : ""
        return [
            JobProblem(
                at: fileName,
                "the tensors \(first.tensors.quotedList)\(more) are given different parameters, but factors merge them as "
                    + "one layer. Give them the same, or leave the layer out with \"layers\" to merge them one by one.")
        ]
    }

    private func haveEqualSettings(_ tensor: String, _ other: String, _ settings: MergeSettings) -> Bool {
        settings.scale(tensor: tensor) == settings.scale(tensor: other)
            && settings.averages(tensor: tensor) == settings.averages(tensor: other)
            && settings.arguments(tensor: tensor) == settings.arguments(tensor: other)
            && tasks.allSatisfy { task in
                task.model == nil
                    || settings.weight(of: task, tensor: tensor) == settings.weight(of: task, tensor: other)
                        && settings.arguments(of: task, tensor: tensor) == settings.arguments(of: task, tensor: other)
            }
    }
}
