import Identifiers
import JobPlan
import TaskArithmetic
import UnitOperations

/// Matrices in which a method raised directions that may be nothing but the rounding of the stored models.
///
/// Source: DESIGN section 2.5.
struct RaisedRounding {
    private static let namesMax = 10

    let plan: JobPlan
    /// A finished unit's result.
    let result: (UnitIndex) -> UnitResult?

    /// One sentence with at most ten names; empty where no such direction was raised, or the job gives a tolerance.
    var sentences: [String] {
        let settings = MergeSettings(spec: plan.spec, base: plan.inventory.base)
        var (names, shares): ([String], [Double]) = ([], [])
        for (name, output) in plan.products.outputs(for: .tensorMerge) {
            let tensor = plan.mergedParts[name]?.tensor ?? name
            guard let found = result(output.unit)?.measurements, let rounding = found[.roundingValues],
                rounding.count == 2, rounding[0] > 0, let rank = found[.rank]?.first,
                settings.arguments(tensor: tensor)[.rankTolerance] == .number(0)
            else { continue }
            names.append("\"\(name.excerpt)\" (\(Int(rounding[0])) of \(Int(rank)))")
            shares.append(rounding[1])
        }
        guard let share = shares.max() else { return [] }
        return [
            "\"\(plan.spec.method.name)\" gave the mean size to singular directions that may be only the rounding of the "
                + "stored models, in \(names.count) \(names.count == 1 ? "matrix" : "matrices"): "
                + "\(names.listed(limit: Self.namesMax)). Set \"rtol\" to leave them out; here \(DampingWarnings.rounded(share)) "
                + "of the largest value covers all of them."
        ]
    }
}
