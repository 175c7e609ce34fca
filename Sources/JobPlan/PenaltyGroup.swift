import UnitOperations

/// Layers and parameters whose part of the regularizer's penalty has a strength of its own.
///
/// The strength s multiplies the group's B and F in the regularizer, and so its part of the penalty:
/// s tr(B Δ A Δᵀ) and s δᵀ F δ. Nothing else changes. In a merge the strength of a block would cancel, because each
/// block is merged by its own factors alone. Inverses are those of the sums without strength, so that a group of
/// strength 0 has inverses too.
///
/// Source: DESIGN section 2.2.
public struct PenaltyGroup: Equatable, Sendable {
    /// The layers and parameters of the group.
    public var layers: NamePatterns
    /// s, finite and at least 0.
    public var strength: Double
    /// `job.yaml:line:column` of the group.
    public var location: String
}

extension CurvatureSpec {
    /// The group of a layer or a parameter: the first one that takes its name.
    public func group(of block: String) -> PenaltyGroup? {
        groups.first { $0.layers.takes(block) }
    }

    /// The strength of a layer or a parameter in the regularizer; 1 outside of all groups.
    public func strength(of block: String) -> Double { group(of: block)?.strength ?? 1 }
}

extension JobSpec {
    /// Problems of groups that have no effect.
    func groupProblems(_ blocks: [CurvatureBlock]) -> [JobProblem] {
        guard let first = curvature.groups.first else { return [] }
        guard outputs.contains(.regularizer) else {
            return [
                JobProblem(
                    at: first.location,
                    "\"groups\" gives strengths to parts of the regularizer, which the job does not write. Add "
                        + "\"regularizer\" to \"outputs\", or remove \"groups\".")
            ]
        }
        // Without blocks there is another problem already.
        guard !blocks.isEmpty else { return [] }
        var rest = blocks.map(\.name)
        var problems: [JobProblem] = []
        for group in curvature.groups {
            let idle = group.layers.problems(
                among: blocks.map(\.name), of: "groups",
                matching: "none of the \(blocks.count) layers and parameters with curvature")
            let others = rest.filter { !group.layers.takes($0) }
            if idle.isEmpty, others.count == rest.count {
                problems.append(
                    JobProblem(
                        at: group.location,
                        "this group has no layer: earlier groups have all that it matches, and the first that matches "
                            + "counts. Write it before them, or remove it."))
            }
            problems += idle
            rest = others
        }
        return problems
    }
}
