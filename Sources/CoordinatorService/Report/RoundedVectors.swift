import Foundation
import Identifiers
import JobPlan
import LinearAlgebra
import UnitOperations

/// Tensors and layers whose merged vector drowns in the rounding to 16 bits.
///
/// Source: DESIGN section 2.6.
struct RoundedVectors {
    private static let namesMax = 10
    /// The share of a vector's norm above which its loss is a warning.
    private static let lostShareMax = 0.5

    let plan: JobPlan
    /// A finished unit's result.
    let result: (UnitIndex) -> UnitResult?

    /// One sentence with at most ten names, the worst first; empty if no vector is lost.
    var sentences: [String] {
        let measured = ofFiles + ofUnits
        let lost = measured.filter { $0.share > Self.lostShareMax }.sorted { ($1.share, $0.name) < ($0.share, $1.name) }
        guard !lost.isEmpty else { return [] }
        let names = lost.map { "\"\($0.name)\" (\(String(format: "%.0f", 100 * $0.share)) %)" }
        return [
            "rounding to 16 bits loses more than half of the merged vector in \(lost.count) of \(measured.count) tensors "
                + "and layers: \(names.listed(limit: Self.namesMax)). Write \"dtype: float32\", without "
                + "another \"out_dtype\", to keep it."
        ]
    }

    private typealias Loss = (name: String, share: Double)

    /// What the coordinator merged.
    private var ofFiles: [Loss] {
        guard let unit = plan.units.first(where: { $0.work == .coordinator(.mergeCheckpoint) }),
            let measured = result(unit.index)?.measurements,
            let merged = MergedTensors(measured, taskCount: plan.spec.mergedTasks.count)
        else { return [] }
        let names = plan.inventory.base.shards.flatMap(\.tensors).map(\.name)
        return zip(names, merged.tensors).compactMap { name, tensor in
            tensor.loss.share.map { (name.excerpt, $0) }
        }
    }

    /// What workers merged.
    private var ofUnits: [Loss] {
        (plan.products.outputs(for: .blockMerge) + plan.products.outputs(for: .tensorMerge)).compactMap {
            name, output in
            guard let values = result(output.unit)?.measurements[.roundingLoss] else { return nil }
            var loss = RoundingLoss()
            for first in stride(from: 0, to: values.count - 1, by: 2) {
                loss.add(RoundingLoss(errorSquares: values[first], changeSquares: values[first + 1]))
            }
            return loss.share.map { (name.excerpt, $0) }
        }
    }
}
