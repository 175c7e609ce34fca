import Foundation
import Identifiers
import JobPlan
import UnitOperations

/// Warnings about a job's damping and about what its merge made of the task vectors.
///
/// There is at most one sentence of each kind, with at most ten names.
///
/// Source: DESIGN sections 2.4 and 2.5.
struct DampingWarnings {
    private static let namesMax = 10
    /// A warning names every merged vector that is shorter than this share of the mean of its task vectors.
    private static let keptNormMin = 0.9

    let plan: JobPlan
    /// A finished unit's result.
    let result: (UnitIndex) -> UnitResult?

    /// A damped factor and its damping.
    private struct DampedFactor {
        let name: String
        let requested: Double
        let used: Double
        let meanEigenvalue: Double
        let isClamped: Bool

        /// Without curvature every amount is larger than the mean eigenvalue, so the comparison means nothing.
        var exceedsMeanEigenvalue: Bool { meanEigenvalue > 0 && used > meanEigenvalue }
        var isRaised: Bool { used > requested || isClamped }
    }

    /// The sentences; empty without warnings.
    var sentences: [String] {
        let factors = damped
        return [
            excess(factors.filter(\.exceedsMeanEigenvalue), of: factors.count),
            raised(factors.filter(\.isRaised), of: factors.count), shortened, flat,
        ].compactMap { $0 }
    }

    // MARK: - The sentences

    private func excess(_ factors: [DampedFactor], of count: Int) -> String? {
        list(factors) { "\($0.name) (\(Self.rounded($0.used / $0.meanEigenvalue)) times)" }.map {
            "the damping of \(factors.count) of \(count) factors exceeds their mean eigenvalue: \($0). There it decides "
                + "more than the factors do; lower \"damping\", or use the rule \"relative\"."
        }
    }

    private func raised(_ factors: [DampedFactor], of count: Int) -> String? {
        list(factors) { "\($0.name) (\(Self.rounded($0.requested)) to \(Self.rounded($0.used)))" }.map {
            "the damping of \(factors.count) of \(count) factors was raised above what was asked for, since they could not "
                + "be inverted with that: \($0). Ask for more, or capture more samples."
        }
    }

    private var shortened: String? {
        let shorter = merges.filter { $0.mean > 0 && $0.merged < Self.keptNormMin * $0.mean }
        return list(shorter) { "\($0.name) (\(Self.rounded(100 * $0.merged / $0.mean)) %)" }.map {
            "the merged vectors of \(shorter.count) of \(merges.count) layers and parameters have less than nine tenths of "
                + "the norm of their task vectors' weighted mean: \($0). Their tasks contradict each other there, or the "
                + "damping is unsuitable."
        }
    }

    private var flat: String? {
        let flat = merges.filter(\.isFlat)
        return list(flat, \.name).map {
            "\(flat.count) of \(merges.count) layers and parameters have no curvature in any task, and take the weighted "
                + "mean: \($0). Check that their gradients were captured."
        }
    }

    /// The first items and the number of the others; nil without items.
    private func list<Item>(_ items: [Item], _ text: (Item) -> String) -> String? {
        guard !items.isEmpty else { return nil }
        let more = items.count - Self.namesMax
        return items.prefix(Self.namesMax).map(text).joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
    }

    static func rounded(_ value: Double) -> String { String(format: "%.3g", value) }

    // MARK: - What was measured

    /// A block's merge.
    private struct BlockMerge {
        let name: String
        let merged: Double
        let mean: Double
        /// Whether a side of the block is zero in every task.
        let isFlat: Bool
    }

    private var merges: [BlockMerge] {
        let merged = BlockMergeMeasurements(plan: plan, result: result)
        return plan.blocks.compactMap { block in
            guard let found = merged[block.name],
                let merged = found[.mergedNorm]?.first, let mean = found[.meanNorm]?.first
            else { return nil }
            return BlockMerge(
                name: block.name.excerpt, merged: merged, mean: mean,
                isFlat: (found[.meanEigenvalue] ?? []).contains(0))
        }
    }

    private var damped: [DampedFactor] {
        let merges = BlockMergeMeasurements(plan: plan, result: result)
        return plan.blocks.flatMap { block in
            let sides = block.factors.map(\.side)
            let merged = merges[block.name] ?? [:]
            // Joint rows are merged by iteration. There damping changes the start and the number of steps only.
            let merge =
                plan.spec.mergesJointRows
                ? []
                : sides.enumerated().compactMap { position, side in
                    factor("\(FactorName(owner: block.name, side: side))", merged, at: position)
                }
            let inverses = plan.targets.sorted().flatMap { target in
                sides.compactMap { side in
                    let name = FactorName(owner: block.name, side: side)
                    let found = merges.measurements(block.name, .inverse(side, of: target)) ?? [:]
                    return factor("\(name) for \(target)", found, at: 0)
                }
            }
            return merge + inverses
        }
    }

    /// One factor of a row of measurements; the row holds the sides in the block's order.
    private func factor(_ name: String, _ found: [MeasurementName: [Double]], at position: Int) -> DampedFactor? {
        guard let requested = found[.damping], let used = found[.dampingUsed], let mean = found[.meanEigenvalue],
            let clamped = found[.clamped],
            [requested, used, mean, clamped].allSatisfy({ $0.indices.contains(position) })
        else { return nil }
        return DampedFactor(
            name: name.excerpt, requested: requested[position], used: used[position], meanEigenvalue: mean[position],
            isClamped: clamped[position] == 1)
    }
}
