import Identifiers
import JobPlan
import TaskArithmetic
import UnitOperations

/// Blocks whose merge by iteration ended before its equations were solved to the job's tolerance.
///
/// Source: DESIGN section 2.5.
struct UnsolvedMerges {
    private static let namesMax = 10

    let plan: JobPlan
    /// A finished unit's result.
    let result: (UnitIndex) -> UnitResult?

    /// One sentence with at most ten names; empty if all are solved.
    var sentences: [String] {
        let settings = MergeSettings(spec: plan.spec, base: plan.inventory.base)
        let iterated = plan.blocks.compactMap { block -> (name: String, residual: Double, isSolved: Bool)? in
            guard let unit = plan.products[block.name, .blockMerge]?.unit,
                let residual = result(unit)?.measurements[.residual]?.first,
                case .number(let tolerance)? = settings.arguments(tensor: block.tensors[0])[.residualTolerance]
            else { return nil }
            return (block.name.excerpt, residual, residual <= tolerance)
        }
        let unsolved = iterated.filter { !$0.isSolved }
        guard !unsolved.isEmpty else { return [] }
        guard !plan.spec.mergesJointRows else {
            // One iteration solves all of them.
            return [
                "the iteration over all layers ended\(end(settings)) before its equations were solved, with a residual of "
                    + "\(DampingWarnings.rounded(unsolved[0].residual)). \(remedy(settings))"
            ]
        }
        let names = unsolved.map { "\($0.name) (\(DampingWarnings.rounded($0.residual)))" }
        return [
            "the iterations of \(unsolved.count) of \(iterated.count) layers ended before their equations were solved; "
                + "residuals: \(names.listed(limit: Self.namesMax)). Raise \"iterations\", \"tolerance\" or \"ridge\"."
        ]
    }

    // MARK: - The iteration over all layers

    private func end(_ settings: MergeSettings) -> String {
        guard let (steps, most) = jointSteps(settings) else { return "" }
        return steps < most ? " after \(steps) of \(most) steps" : " after all \(most) steps"
    }

    /// An iteration that ends early has found a direction without curvature: rounding makes the complement so.
    private func remedy(_ settings: MergeSettings) -> String {
        guard let (steps, most) = jointSteps(settings), steps < most else {
            return "Raise \"iterations\" or \"tolerance\"."
        }
        return "The curvature along its direction was not positive, since little but rounding is left of it. Write "
            + "\"precision: float64\" or a number as \"floor\" under \"kfac\", or raise \"tolerance\"."
    }

    /// The steps that were taken, and the most that were allowed.
    private func jointSteps(_ settings: MergeSettings) -> (taken: Int, most: Int)? {
        let first = plan.blocks.lazy.compactMap { block -> (Int, Int)? in
            guard let unit = plan.products[block.name, .blockMerge]?.unit,
                let steps = result(unit)?.measurements[.iterations]?.first
            else { return nil }
            return (Int(steps), plan.spec.jointStepsMax(settings.arguments(tensor: block.tensors[0])))
        }
        return first.first
    }
}
