import Identifiers
import KroneckerFactors
import LinearAlgebra

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
        let operation = AccumulateOperation(
            side: name.side, dimension: dimension, factors: tasks.map(\.factor), weights: tasks.map(\.weight),
            exclusions: exclusions(of: targets, from: tasks), scale: spec.curvature.regularizer.scale)
        let unit = add(
            .worker(.accumulate(operation)), after: tasks.map(\.factor.unit),
            cost: .streaming(
                inputBytes: UInt64.packed(dimension).saturatingProduct(UInt64(tasks.count)),
                outputBytes: UInt64.packed(dimension).saturatingProduct(UInt64(targets.count)),
                rows: tasks.count + 1),
            title: "\(targets.isEmpty ? "inner products" : "sums") of factor \"\(name)\" over \(tasks.count) tasks",
            block: name.owner)
        accumulations[name] = unit
        for (position, target) in targets.enumerated() {
            regularizerTerms[target]?[0][name] = UnitOutput(unit, position)
        }
    }

    /// Both sides of a layer in one unit, behind those that measured the inner products.
    private mutating func planOptimalAccumulation(_ block: CurvatureBlock) {
        typealias Operation = OptimalAccumulateOperation<UnitOutput>
        let sides = block.factors.compactMap { side, dimension -> (name: FactorName, side: Operation.Side)? in
            let name = FactorName(owner: block.name, side: side)
            return accumulations[name].map {
                let factors = accumulatedTasks(name).map(\.factor)
                return (name, Operation.Side(dimension: dimension, factors: factors, products: .measured(by: $0)))
            }
        }
        guard sides.count == 2, let rank = spec.curvature.regularizer.termCount else { return }
        let tasks = accumulatedTasks(sides[0].name)
        let operation = Operation(
            input: sides[0].side, gradient: sides[1].side, weights: tasks.map(\.weight), rank: rank,
            exclusions: exclusions(of: targets, from: tasks), scale: spec.curvature.regularizer.scale)
        let unit = add(
            .worker(.accumulateOptimal(operation)),
            after: sides.flatMap { name, side in
                (accumulations[name].map { [$0] } ?? []) + side.factors.map(\.unit)
            },
            cost: UnitCost(of: operation), title: "optimal sums of \"\(block.name)\" over \(tasks.count) tasks",
            block: block.name)
        optimalAccumulations[block.name] = unit
        for (position, target) in targets.enumerated() {
            for term in 0..<rank {
                for (name, _) in sides {
                    regularizerTerms[target]?[term][name] = UnitOutput(
                        unit, operation.position(of: name.side, target: position, term: term))
                }
            }
        }
    }

    /// For each target the position of the task that it leaves out; `nil` where it leaves out none of them.
    private func exclusions(of targets: [TargetName], from tasks: [AccumulatedTask]) -> [Int?] {
        targets.map { target in tasks.firstIndex { !target.includes($0.task) } }
    }

    /// A task's share of an accumulated factor.
    private struct AccumulatedTask {
        let task: TaskName
        let factor: UnitOutput
        /// w_t of λ_t.
        let weight: Double
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
