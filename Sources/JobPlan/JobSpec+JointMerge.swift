public import TaskArithmetic
import UnitOperations

/// The check of merges by joint rows: `curvature: joint_rows` of `kfac_exact`.
///
/// All blocks are one system, so what weighs it must be one for all of them.
///
/// Source: DESIGN section 2.5, joint rows.
extension JobSpec {
    /// The most steps of the iteration, each of which is planned.
    private static let jointStepsMax = 1000
    /// The smallest tolerance: nearer no sum in fp64 comes.
    private static let jointToleranceMin = 1e-14

    /// Whether the merge minimises the drift under the tasks' joint rows.
    public var mergesJointRows: Bool {
        outputs.contains(.merged) && canMergeByJointRows
            && parameters.words[.mergedCurvature] == .word(MergeParameter.jointRowsWord)
    }

    /// Whether the merge method takes joint rows if the job says so.
    var canMergeByJointRows: Bool { method.parameter(MergeParameter.mergedCurvature.name) != nil }

    /// The most steps of the iteration over all blocks.
    public func jointStepsMax(_ arguments: MergeArguments) -> Int {
        let given = arguments.given.first { $0.name == MergeParameter.iterationBound.name }
        guard case .count(let steps)? = given?.value else { return MergeParameter.jointIterations }
        return min(steps, Self.jointStepsMax)
    }

    /// Settings that a merge by joint rows does not go with.
    func jointMergeProblems(_ blocks: [CurvatureBlock], _ inventory: JobInventory) -> [JobProblem] {
        guard mergesJointRows else { return [] }
        guard curvature.regularizer.form == .pseudoRows else {
            return [
                JobProblem(
                    at: fileName,
                    "\"curvature: joint_rows\" merges by the joint rows of the form \"pseudo_rows\"; the form is "
                        + "\"\(curvature.regularizer.form.rawValue)\". Write \"regularizer: {form: pseudo_rows}\" under "
                        + "\"kfac\", or remove \"curvature\".")
            ]
        }
        let settings = MergeSettings(spec: self, base: inventory.base)
        let merged = mergedBlocks(among: blocks, base: inventory.base)
        return (argumentFaults(merged, settings) + weightFaults(merged, settings)).map {
            JobProblem(at: fileName, "\"curvature: joint_rows\" \($0)")
        }
    }

    private func argumentFaults(_ blocks: [CurvatureBlock], _ settings: MergeSettings) -> [String] {
        let arguments = blocks.map { settings.arguments(tensor: $0.tensors[0]) }
        var faults: [String] = []
        if arguments.contains(where: { $0[.ridge(default: 0)] != .number(0) }) {
            faults.append("has no ridge: the floor stands for it. Remove \"ridge\".")
        }
        let tolerances = arguments.map { $0[.residualTolerance] }
        if let first = tolerances.first, tolerances.contains(where: { $0 != first }) {
            faults.append("solves all layers together, but \"tolerance\" differs between them. Write one number.")
        }
        if case .number(let tolerance)? = tolerances.first ?? nil, tolerance < Self.jointToleranceMin {
            faults.append(
                "sums in fp64; expected a \"tolerance\" of at least \(Self.jointToleranceMin), found \(tolerance). Raise it."
            )
        }
        if let steps = arguments.first?[.iterationBound], case .count(let count) = steps,
            arguments.first?.given.contains(where: { $0.name == MergeParameter.iterationBound.name }) == true,
            count > Self.jointStepsMax
        {
            faults.append(
                "plans every step; expected at most \(Self.jointStepsMax) \"iterations\", found \(count). Lower them.")
        }
        return faults
    }

    /// Models that weigh something in some blocks only: their form would be another one than their rows'.
    private func weightFaults(_ blocks: [CurvatureBlock], _ settings: MergeSettings) -> [String] {
        mergedTasks.compactMap { task in
            let idle = blocks.filter { settings.weight(of: task, tensor: $0.tensors[0]) == 0 }
            guard !idle.isEmpty, idle.count < blocks.count else { return nil }
            return "solves all layers together, but the weight of \"\(task.name)\" is 0 in "
                + "\(idle.map(\.name).quotedList), and not in the others. Write 0 for all layers, or for none."
        }
    }
}
