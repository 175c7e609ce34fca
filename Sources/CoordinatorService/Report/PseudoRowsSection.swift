import Identifiers
import JSONText
import JobPlan
import LinearAlgebra
import UnitOperations

/// What the pseudo-rows of tasks and targets keep of their rows, and what they store beside K-FAC.
///
/// Source: DESIGN section 2.2, joint form.
struct PseudoRowsSection {
    let plan: JobPlan
    /// A finished unit's result.
    let result: (UnitIndex) -> UnitResult?

    /// The section of the report; null for another form.
    var json: JSONValue {
        guard plan.spec.curvature.regularizer.form == .pseudoRows else { return .null }
        let tasks = plan.spec.curvedTasks.map { (owner: JointRowsOwner.task($0.name), name: $0.name.rawValue) }
        let targets = plan.targets.map { (owner: JointRowsOwner.target($0), name: $0.description) }
        return .object([
            .init("floor", .string(plan.spec.curvature.regularizer.jointRows.floor.text)),
            .init("codebook", codebook),
            .init("storage", storage),
            .init("tasks", .array(tasks.compactMap { row($0.owner, $0.name) })),
            .init("targets", .array(targets.compactMap { row($0.owner, $0.name) })),
        ])
    }

    /// The codebook by which owners pooled positions; null if they did not.
    private var codebook: JSONValue {
        plan.spec.curvedTasks.lazy.compactMap { plan.inventory.givenJointRows(of: $0.name)?.codebook }.first
            .map(JSONValue.string) ?? .null
    }

    private func row(_ owner: JointRowsOwner, _ name: String) -> JSONValue? {
        let sides = [("inputs", FactorSide.input), ("gradients", .gradient)].compactMap { word, side in
            (self.side(side, owner) ?? statedSide(side, owner)).map { JSONValue.Member(word, $0) }
        }
        return sides.isEmpty ? nil : .object([.init("name", .string(name))] + sides)
    }

    /// The rows of a side, how many stand for them, and what these keep of the weighted Gram matrix.
    private func side(_ side: FactorSide, _ owner: JointRowsOwner) -> JSONValue? {
        guard let (unit, operation) = plan.jointEigenvectors(side, of: owner),
            let numbers = result(unit)?.measurements, let kept = numbers[.keptShare]?.first,
            let error = numbers[.relativeError]?.first
        else { return nil }
        return .object([
            .init("rows", .number("\(operation.rows)")), .init("rank", .number("\(operation.rank)")),
            .init("kept", .of(kept)), .init("relative_error", .of(error)),
        ])
    }

    /// What one file states of a side: its rows, and what they keep.
    private func statedSide(_ side: FactorSide, _ owner: JointRowsOwner) -> JSONValue? {
        guard case .task(let task) = owner, !plan.jointTensors(of: owner).isEmpty,
            let rows = plan.inventory.givenJointRows(of: task), let kept = rows.kept,
            let rank = rows.rank(side, of: plan.blocks)
        else { return nil }
        return .object([
            .init("rank", .number("\(rank)")),
            .init("kept", .of(side == .input ? kept.inputs : kept.gradients)),
        ])
    }

    /// The different numbers of a target's pseudo-rows with their weights, and of its factors; without a floor it has
    /// none.
    private var storage: JSONValue {
        let rows =
            plan.targets.first.map { plan.jointTensors(of: .target($0)).reduce(UInt64(0)) { $0 + $1.byteCount / 4 } }
            ?? 0
        let hasFactors = plan.spec.curvature.regularizer.jointRows.floor != .none
        let factors =
            hasFactors
            ? plan.blocks.flatMap(\.factors).reduce(UInt64(0)) { $0.saturatingSum($1.shape.storedBytes / 4) } : 0
        return .object([.init("rows", .number("\(rows)")), .init("factors", .number("\(factors)"))])
    }
}
