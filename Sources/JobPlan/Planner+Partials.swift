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

    /// Plans the sums of the factors of one layer or parameter of a task.
    mutating func planSums(
        of layer: CurvatureBlock, in block: CurvatureBlock, _ task: TaskName, from partials: PartialsInventory
    ) -> Factors {
        var factors: Factors = [:]
        for (side, _) in layer.factors {
            let name = FactorName(owner: layer.name, side: side)
            guard let sum = partials.sums[name], let divisor = divisor(of: side, of: layer, partials) else { continue }
            factors[side] = planSum(name, in: block, of: task, sum, divisor: divisor)
        }
        return factors
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
        _ name: FactorName, in block: CurvatureBlock, of task: TaskName, _ sum: PartialsInventory.Sum, divisor: Double
    ) -> UnitOutput {
        let title = "sum of the partials of factor \"\(name)\" of task \"\(task)\""
        let triangleBytes = Double(sum.slices.first?.byteCount ?? 0)
        let most = max(1, (limits.partMultiplyAdds * Self.bytesPerMultiplyAdd / max(1, triangleBytes)).rounded(.down))
        // Limit the number before the conversion to an integer: small triangles would fit too often.
        let slicesOfPart = Int(min(Double(Self.slicesMax), most))
        var whole = SumPartialsOperation(
            shape: sum.shape, elementType: sum.elementType, slices: sum.slices, divisor: divisor)
        whole.givesDouble = doubledTasks.contains(task)
        guard sum.slices.count > slicesOfPart else {
            return UnitOutput(add(whole, title: title, about: name.description, block: block.name))
        }
        var outputs: [UnitOutput] = []
        for first in stride(from: 0, to: sum.slices.count, by: slicesOfPart) {
            var part = whole
            part.slices = Array(sum.slices[first..<min(first + slicesOfPart, sum.slices.count)])
            part.divisor = nil
            part.givesDouble = false
            outputs.append(
                UnitOutput(
                    add(part, title: "\(title), files from \(first)", about: name.description, block: block.name)))
        }
        var combine = CombineOperation(partCount: outputs.count, shape: sum.shape, divisor: divisor)
        combine.givesDouble = whole.givesDouble
        return UnitOutput(
            add(
                combine, reading: outputs, title: "sum of the parts of the \(title)", about: name.description,
                block: block.name))
    }
}
