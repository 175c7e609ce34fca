import Identifiers
import TaskArithmetic
import UnitOperations

extension JobSpec {
    /// Layers whose weight and bias are given different parameters: both are one matrix of a merge under factors, so
    /// only one setting could hold, and the other would be lost without a word.
    func blockSettingProblems(_ blocks: [CurvatureBlock], _ inventory: JobInventory) -> [JobProblem] {
        guard outputs.contains(.merged), method.needsFactors else { return [] }
        let settings = MergeSettings(spec: self, base: inventory.base)
        let divided = blocks.filter { block in
            mergesWhole(block, in: inventory)
                && block.parameters.dropFirst().contains { other in
                    !haveEqualSettings(block.parameters[0], other, settings)
                }
        }
        guard let first = divided.first else { return [] }
        let more = divided.count > 1 ? " (and so those of \(divided.count - 1) more layers)" : ""
        return [
            JobProblem(
                at: fileName,
                "the tensors \(first.parameters.quotedList)\(more) are given different parameters, but factors merge them as "
                    + "one layer. Give them the same, or leave the layer out with \"layers\" to merge them one by one.")
        ]
    }

    private func haveEqualSettings(_ tensor: String, _ other: String, _ settings: MergeSettings) -> Bool {
        settings.scale(tensor: tensor) == settings.scale(tensor: other)
            && settings.averages(tensor: tensor) == settings.averages(tensor: other)
            && tasks.allSatisfy { task in
                task.model == nil
                    || settings.weight(of: task, tensor: tensor) == settings.weight(of: task, tensor: other)
            }
    }
}
