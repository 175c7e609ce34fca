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
                "the iteration over all layers ended before its equations were solved, with a residual of "
                    + "\(DampingWarnings.rounded(unsolved[0].residual)). Raise \"iterations\" or \"tolerance\"."
            ]
        }
        let names = unsolved.map { "\($0.name) (\(DampingWarnings.rounded($0.residual)))" }
        return [
            "the iterations of \(unsolved.count) of \(iterated.count) layers ended before their equations were solved; "
                + "residuals: \(names.listed(limit: Self.namesMax)). Raise \"iterations\", \"tolerance\" or \"ridge\"."
        ]
    }
}
