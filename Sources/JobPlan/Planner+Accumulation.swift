import Identifiers
import KroneckerFactors
import LinearAlgebra
import UnitOperations

/// Sums over tasks, for every target of the regularizer.
///
/// Source: DESIGN section 2.2.
extension Planner {
    /// Plans the regularizer's sums, and the inner products that its coefficients or the report need.
    mutating func planAccumulation() {
        let form = spec.curvature.regularizer.form
        // Without a floor only a merge reads sums, to invert them.
        let targets = (spec.curvature.regularizer.termCount ?? 0) > 0 ? summedTargets : invertedTargets
        let isSummed = !targets.isEmpty
        let measuresError = spec.outputs.contains(.report) && spec.curvedTasks.count > 1
        guard isSummed || measuresError else { return }
        for block in blocks {
            let isOptimal = form == .optimal && block.factors.count == 2
            for (side, shape) in block.factors {
                let name = FactorName(owner: block.name, side: side)
                planAccumulation(name, shape, targets: isOptimal ? [] : targets)
            }
            if isSummed && isOptimal { planOptimalAccumulation(block) }
        }
    }

    private mutating func planAccumulation(_ name: FactorName, _ shape: SymmetricShape, targets: [TargetName]) {
        let tasks = accumulatedTasks(name)
        // Partial sums may state a layer of which no task has a row; it has nothing to sum.
        guard !tasks.isEmpty else { return }
        let targets = targets.filter { target in tasks.contains { target.includes($0.task) } }
        let regularizer = spec.curvature.regularizer
        // Under `sum` a full block has the coefficients of B.
        let isSummed = name.side == .full && regularizer.oneDimensional == .sum
        let operation = AccumulateOperation(
            side: isSummed ? .gradient : name.side, shape: shape, weights: tasks.map(\.weight),
            exclusions: exclusions(of: targets, from: tasks), scale: regularizer.scale)
        let unit = add(
            operation, reading: tasks.map(\.factor),
            title: "\(targets.isEmpty ? "inner products" : "sums") of factor \"\(name)\" over \(tasks.count) tasks",
            about: name.description, block: name.owner)
        products[name.owner, .accumulation(name.side)] = UnitOutput(unit)
        for (position, target) in targets.enumerated() {
            products[name.owner, .regularizer(name.side, term: 0, of: target)] = UnitOutput(unit, position)
        }
    }

    /// Plans both sides of a layer as one unit, after the units that measure the inner products.
    private mutating func planOptimalAccumulation(_ block: CurvatureBlock) {
        let names = block.factors.map { FactorName(owner: block.name, side: $0.side) }
        guard let measured = outputs(of: block, for: { .accumulation($0) }),
            let rank = spec.curvature.regularizer.termCount
        else { return }
        let tasks = accumulatedTasks(names[0])
        let targets = summedTargets.filter { target in tasks.contains { target.includes($0.task) } }
        guard !targets.isEmpty else { return }
        let operation = OptimalAccumulateOperation(
            inputShape: block.factors[0].shape, gradientShape: block.factors[1].shape,
            weights: tasks.map(\.weight), rank: rank, exclusions: exclusions(of: targets, from: tasks),
            scale: spec.curvature.regularizer.scale)
        let unit = add(
            operation, reading: names.flatMap { accumulatedTasks($0).map(\.factor) },
            numbers: measured.map { UnitMeasurement($0.unit, .innerProducts) },
            title: "optimal sums of \"\(block.name)\" over \(tasks.count) tasks", about: block.name,
            block: block.name)
        products[block.name, .optimalAccumulation] = UnitOutput(unit)
        for (position, target) in targets.enumerated() {
            for term in 0..<rank {
                for (side, _) in block.factors {
                    products[block.name, .regularizer(side, term: term, of: target)] = UnitOutput(
                        unit, operation.position(of: side, target: position, term: term))
                }
            }
        }
    }

    /// For each target, the position of the task that it leaves out; `nil` when it leaves out none.
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
        spec.curvedTasks.compactMap { task in
            products[name.owner, .balancedFactor(name.side, of: task.name)].map {
                AccumulatedTask(
                    task: task.name, factor: $0, weight: curvatureWeights[task.name] ?? 0)
            }
        }
    }
}
