import Identifiers
import KroneckerFactors

/// Sums over tasks, for every target of the regularizer.
///
/// Source: DESIGN section 2.2.
extension Planner {
    /// Plans what the regularizer's form sums, and the inner products that its coefficients or the report need.
    mutating func planAccumulation() {
        let form = spec.curvature.regularizer.form
        let isSummed = form != .perTask && !targets.isEmpty
        let measuresError = spec.outputs.contains(.report) && curvedTasks.count > 1
        guard isSummed || measuresError else { return }
        for target in isSummed ? targets : [] {
            let count = spec.curvature.regularizer.termCount ?? 0
            regularizerTerms[target] = Array(repeating: [:], count: count)
        }
        for block in blocks {
            let isOptimal = form == .optimal && block.factors.count == 2
            for (side, dimension) in block.factors {
                let name = FactorName(owner: block.name, side: side)
                planAccumulation(name, dimension: dimension, targets: isSummed && !isOptimal ? targets : [])
            }
            if isSummed && isOptimal { planOptimalAccumulation(block) }
        }
    }

    private mutating func planAccumulation(_ name: FactorName, dimension: Int, targets: [TargetName]) {
        let tasks = accumulatedTasks(name)
        let operation = AccumulateOperation(factor: name, dimension: dimension, tasks: tasks, targets: targets)
        let unit = add(
            .coordinator(.accumulate(operation)), after: tasks.map(\.factor.unit),
            cost: .streaming(
                inputBytes: UInt64.packed(dimension).saturatingProduct(UInt64(tasks.count)),
                outputBytes: UInt64.packed(dimension).saturatingProduct(UInt64(targets.count))),
            title: "\(targets.isEmpty ? "inner products" : "sums") of factor \"\(name)\" over \(tasks.count) tasks")
        accumulations[name] = unit
        for (position, target) in targets.enumerated() {
            regularizerTerms[target]?[0][name] = UnitOutput(unit, position)
        }
    }

    /// Both sides of a layer in one unit, behind those that measured the inner products.
    private mutating func planOptimalAccumulation(_ block: CurvatureBlock) {
        let sides = block.factors.compactMap { side, dimension -> OptimalAccumulateOperation.Side? in
            let name = FactorName(owner: block.name, side: side)
            return accumulations[name].map {
                OptimalAccumulateOperation.Side(
                    factor: name, dimension: dimension, tasks: accumulatedTasks(name), products: $0)
            }
        }
        guard sides.count == 2, let rank = spec.curvature.regularizer.termCount else { return }
        let operation = OptimalAccumulateOperation(input: sides[0], gradient: sides[1], rank: rank, targets: targets)
        let unit = add(
            .coordinator(.accumulateOptimal(operation)),
            after: sides.flatMap { [$0.products] + $0.tasks.map(\.factor.unit) },
            cost: UnitCost(of: operation), title: "optimal sums of \"\(block.name)\" over \(sides[0].tasks.count) tasks"
        )
        optimalAccumulations[block.name] = unit
        for (position, target) in targets.enumerated() {
            for term in 0..<rank {
                for side in sides {
                    regularizerTerms[target]?[term][side.factor] = UnitOutput(
                        unit, operation.position(of: side.factor.side, target: position, term: term))
                }
            }
        }
    }

    private func accumulatedTasks(_ name: FactorName) -> [AccumulatedTask] {
        curvedTasks.compactMap { task in
            factorOutputs[task.name]?[name].map {
                AccumulatedTask(
                    task: task.name, factor: $0, weight: inventory.curvatureWeight(of: task.name, in: spec))
            }
        }
    }
}
