import Foundation
import Identifiers
import JobPlan
import UnitOperations

/// The warning about layers whose output gradients cancel in the samples, so that their B under `reduce` is rounding.
///
/// Source: DESIGN section 2.1.
struct CancelledGradients {
    private static let namesMax = 10
    /// Σ‖ḡ‖² as a share of Σ‖g‖², below which it may be rounding.
    ///
    /// Without cancellation it is about 1.
    private static let shareMin = 1e-4

    let plan: JobPlan
    /// A finished unit's result.
    let result: (UnitIndex) -> UnitResult?

    /// One sentence, or none.
    var sentences: [String] {
        let found = plan.spec.curvedTasks.flatMap { task in
            plan.factorsOfSummedRows(of: task.name).compactMap { factor -> String? in
                guard let share = share(of: factor), share < Self.shareMin else { return nil }
                return "\"\(factor.block.excerpt)\" of task \"\(task.name)\" (\(String(format: "%.1e", share)))"
            }
        }
        guard !found.isEmpty else { return [] }
        let more = found.count > Self.namesMax ? " and \(found.count - Self.namesMax) more" : ""
        return [
            "the output gradients of a sample cancel each other in \(found.count) \(found.count == 1 ? "layer" : "layers"): "
                + "\(found.prefix(Self.namesMax).joined(separator: ", "))\(more). The number is what is left of Σ‖g‖² under "
                + "\"reduce\", about 1 without cancellation. The rest may be rounding, and so are B and what is made of it. "
                + "A key projection of softmax attention has no curvature; leave it out with \"layers\"."
        ]
    }

    /// tr Σ ḡ ḡᵀ / Σ‖g‖²; `nil` without results, or for rows of zeros.
    private func share(of factor: JobPlan.SummedRowsFactor) -> Double? {
        let squares = factor.parts.compactMap { result($0)?.measurements[.rowSquares]?.first }
        guard squares.count == factor.parts.count, let trace = result(factor.unit)?.measurements[.trace]?.first else {
            return nil
        }
        let sum = squares.reduce(0, +)
        return sum > 0 ? trace * factor.divisor / sum : nil
    }
}
