import Identifiers
import KroneckerFactors
import LinearAlgebra
import UnitOperations

/// Factors of tasks that bring partial sums.
extension Planner {
    /// The most files that one unit reads, so that its lease stays a small message.
    private static let slicesMax = 4096
    /// Bytes that are read in the time of one multiply-add, at the rates of `UnitCost.nominalSeconds`.
    private static let bytesPerMultiplyAdd = 0.01

    /// Plans the sum of every factor of a task.
    mutating func planSums(of task: TaskName, from partials: PartialsInventory) {
        for block in blocks {
            for (side, _) in block.factors {
                let name = FactorName(owner: block.name, side: side)
                guard let sum = partials.sums[name], let divisor = divisor(of: side, of: block, partials) else {
                    continue
                }
                products[block.name, .factor(side, of: task)] = planSum(name, of: task, sum, divisor: divisor)
            }
        }
    }

    /// The divisor of a sum for the job's normalization.
    ///
    /// A layer without rows has none. Source: DESIGN section 2.1.
    private func divisor(of side: FactorSide, of block: CurvatureBlock, _ partials: PartialsInventory) -> Double? {
        guard let counted = partials.counts[block.name] else { return nil }
        let probes: GradientProbes =
            spec.curvature.hasExactProbes
            ? .exactBasis(outputCount: partials.probes) : .monteCarlo(count: partials.probes)
        // A parameter has no rows of its own.
        let rows = side == .full ? counted.samples : counted.rows
        let counts = try? SampleCounts(samples: counted.samples, rows: rows, probes: probes)
        return counts.map { spec.curvature.normalization.divisor(of: side, counts: $0) }
    }

    private mutating func planSum(
        _ name: FactorName, of task: TaskName, _ sum: PartialsInventory.Sum, divisor: Double
    ) -> UnitOutput {
        let title = "sum of the partials of factor \"\(name)\" of task \"\(task)\""
        let triangleBytes = Double(sum.slices.first?.byteCount ?? 0)
        let most = max(1, (limits.partMultiplyAdds * Self.bytesPerMultiplyAdd / max(1, triangleBytes)).rounded(.down))
        // Limit the number before the conversion to an integer: small triangles would fit too often.
        let slicesOfPart = Int(min(Double(Self.slicesMax), most))
        let whole = SumPartialsOperation(
            dimension: sum.dimension, elementType: sum.elementType, slices: sum.slices, divisor: divisor)
        guard sum.slices.count > slicesOfPart else {
            return UnitOutput(add(whole, title: title, about: name.description, block: name.owner))
        }
        var outputs: [UnitOutput] = []
        for first in stride(from: 0, to: sum.slices.count, by: slicesOfPart) {
            var part = whole
            part.slices = Array(sum.slices[first..<min(first + slicesOfPart, sum.slices.count)])
            part.divisor = nil
            outputs.append(
                UnitOutput(
                    add(part, title: "\(title), files from \(first)", about: name.description, block: name.owner)))
        }
        let combine = CombineOperation(partCount: outputs.count, dimension: sum.dimension, divisor: divisor)
        return UnitOutput(
            add(
                combine, reading: outputs, title: "sum of the parts of the \(title)", about: name.description,
                block: name.owner))
    }
}
