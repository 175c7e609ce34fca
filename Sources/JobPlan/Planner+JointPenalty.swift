import Identifiers
import KroneckerFactors
import UnitOperations

/// The penalties of task vectors under the pseudo-rows of the regularizer.
///
/// X is a sum over layers. So each layer has a unit for its part, and one unit for each task sums the parts.
///
/// Source: DESIGN section 2.2, joint form.
extension Planner {
    /// The pseudo-rows of a block that a task vector meets.
    struct PseudoRows {
        var blobs: [UnitOutput]
        var numbers: [UnitMeasurement]
        var inputRank: Int
        var gradientRank: Int
        var positions: Int
    }

    /// Plans a block's part of X for a task's own vector; nothing without pseudo-rows.
    mutating func planJointDrift(_ block: CurvatureBlock, of task: TaskName, _ vector: Vector) {
        guard let rows = pseudoRows(of: block, .target(.without(task))) else { return }
        let operation = JointDriftOperation(
            block: block.kind, base: parameters(block, in: inventory.base),
            checkpoint: parameters(block, in: vector.checkpoint), isUnweighted: vector.isUnweighted,
            inputRank: rows.inputRank, gradientRank: rows.gradientRank, positions: rows.positions,
            measuresInside: spec.curvature.regularizer.jointRows.floor == .complement,
            pooledRows: inventory.pooledRows(
                in: block.name, of: spec.curvedTasks.map(\.name).filter(TargetName.without(task).includes)))
        products[block.name, .jointDrift(of: task)] = UnitOutput(
            add(
                operation, reading: rows.blobs, numbers: rows.numbers,
                title: "drift of task \"\(task)\" in \"\(block.name)\"", about: block.name, block: block.name))
    }

    /// A block's pseudo-rows of a task or of a target; `nil` if the plan has none.
    func pseudoRows(of block: CurvatureBlock, _ owner: JointRowsOwner) -> PseudoRows? {
        guard let gradients = products[block.name, .jointRows(.gradient, of: owner)],
            let gradientRows = units[gradients.unit.position].operation as? any PseudoRowsMaking
        else { return nil }
        guard block.factors.count == 2 else {
            guard let constants = products[JointRowsOwner.subject, .jointEigenvectors(.input, of: owner)],
                let rank = constantRank(of: constants)
            else { return nil }
            return PseudoRows(
                blobs: [gradients], numbers: [UnitMeasurement(constants.unit, .constantRows)], inputRank: rank,
                gradientRank: gradientRows.rank, positions: 1)
        }
        guard let inputs = products[block.name, .jointRows(.input, of: owner)],
            let inputRows = units[inputs.unit.position].operation as? any PseudoRowsMaking
        else { return nil }
        return PseudoRows(
            blobs: [inputs, gradients], numbers: [], inputRank: inputRows.rank, gradientRank: gradientRows.rank,
            positions: gradientRows.rowPositions)
    }

    /// Plans the sum of a task's parts of X over all blocks; nothing without parts.
    mutating func planJointPenalty(of task: TaskName) {
        let parts = blocks.compactMap { products[$0.name, .jointDrift(of: task)] }
        guard let first = parts.first, let drift = units[first.unit.position].operation as? JointDriftOperation else {
            return
        }
        let operation = JointPenaltyOperation(
            partCount: parts.count, inputRank: drift.inputRank, gradientRank: drift.gradientRank)
        products[JointRowsOwner.subject, .jointPenalty(of: task)] = UnitOutput(
            add(
                operation, reading: parts, title: "penalty of task \"\(task)\" under joint rows",
                about: JointRowsOwner.subject, block: nil))
    }
}
