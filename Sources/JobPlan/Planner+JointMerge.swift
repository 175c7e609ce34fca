import Identifiers
import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import UnitOperations

/// The merge by joint rows: conjugate gradients over all blocks, whose steps are units.
///
/// Each block starts at the closed form of `kfac`. In a step each block has one unit, and one more unit sums what
/// couples them. A plan has a fixed number of steps; once the iteration has stopped, units hand their inputs on.
///
/// Source: DESIGN section 2.5, joint rows.
extension Planner {
    /// A block of the system, with the last outputs that the plan has of it.
    private struct JointBlock {
        let part: MergedPart
        let curvature: JointCurvature
        /// The pseudo-rows and factors of all tasks.
        let operands: [UnitOutput]
        /// The constants of a parameter's tasks.
        let constants: [UnitMeasurement]
        let inverses: [UnitOutput]
        /// The unit that made the block's vectors, and its part of X.
        var last: UnitIndex

        var state: UnitOutput { UnitOutput(last, 0) }
        var products: UnitOutput { UnitOutput(last, 1) }
    }

    /// Plans the merge of all blocks as one system.
    mutating func planJointMerge(_ parts: [MergedPart], _ settings: MergeSettings) {
        var blocks: [JointBlock] = []
        for part in parts {
            guard let block = planStart(of: part) else { return }
            blocks.append(block)
        }
        guard let first = blocks.first, let block = self.blocks.first(where: { $0.name == first.part.name }) else {
            return
        }
        let arguments = settings.arguments(tensor: block.tensors[0])
        let steps = spec.jointStepsMax(arguments)
        guard case .number(let tolerance)? = arguments[.residualTolerance] else { return }
        func operation(_ number: Int) -> JointStepSumOperation {
            JointStepSumOperation(
                partCount: blocks.count, tasks: first.curvature.tasks.map(\.withoutPooling), number: number,
                tolerance: tolerance, stepsMax: steps)
        }
        var sum = addSum(operation(0), blocks, former: nil)
        for step in 0...steps {
            for position in blocks.indices { blocks[position].last = addStep(step, blocks[position], sum) }
            sum = addSum(operation(step + 1), blocks, former: step > 0 ? sum : nil)
        }
        for block in blocks { planSolution(block, sum) }
    }

    /// Plans the closed form of a block, and its part of the first residual; `nil` if a task has no joint rows.
    private mutating func planStart(of part: MergedPart) -> JointBlock? {
        guard let block = blocks.first(where: { $0.name == part.name }),
            let inverses = outputs(of: block, for: { .inverse($0, of: .all) })
        else { return nil }
        let tasks = part.operation.tasks.map { spec.mergedTasks[$0.place - 1].name }
        let rows = tasks.compactMap { pseudoRows(of: block, .task($0)) }
        guard rows.count == tasks.count, let positions = rows.first?.positions else { return nil }
        let curvature = curvature(block, tasks, rows, positions: positions)
        let factorCount = block.factors.count
        let operands = rows.enumerated().flatMap { position, rows in
            let factors = part.factors[position * factorCount..<(position + 1) * factorCount]
            return rows.blobs + (curvature.readsFactors ? Array(factors) : [])
        }
        var closed = part.operation
        (closed.method, closed.arguments, closed.scale, closed.rank) = (MergeMethod.kfac.name, MergeArguments(), 1, 0)
        closed.outputTypes = closed.base.map { _ in .f64 }
        let closedForm = add(
            closed, reading: part.factors, title: "closed form of \"\(part.name)\"", about: part.name, block: part.name,
            cost: closed.cost(by: .kfac))
        products[part.name, .mergeStart] = UnitOutput(closedForm)
        let operation = JointStartOperation(
            curvature: curvature, base: part.operation.base,
            vectors: part.operation.tasks.map { .init(parameters: $0.parameters, weight: $0.weight) })
        let constants = rows.flatMap(\.numbers)
        let start = add(
            operation,
            reading: (0..<operation.parameterCount).map { UnitOutput(closedForm, $0) } + operands, numbers: constants,
            title: "start of \"\(part.name)\" under joint rows", about: part.name, block: part.name)
        return JointBlock(
            part: part, curvature: curvature, operands: operands, constants: constants, inverses: inverses, last: start)
    }

    private func curvature(
        _ block: CurvatureBlock, _ tasks: [TaskName], _ rows: [PseudoRows], positions: Int
    ) -> JointCurvature {
        // One share for all blocks: a task's form is one sum over them.
        let shares = TaskShares(spec: spec, inventory: inventory, isOfBlocks: true)
        let floor: JointCurvature.Floor =
            switch spec.curvature.regularizer.jointRows.floor {
            case .none: .none
            case .factors(let share): .factors(share)
            case .complement: .complement
            }
        return JointCurvature(
            block: block.kind, positions: positions,
            tasks: zip(tasks, rows).map { task, rows in
                JointCurvature.TaskRows(
                    inputRank: rows.inputRank, gradientRank: rows.gradientRank,
                    lambda: shares.share(of: task, among: tasks),
                    pooledRows: inventory.pooledRows(in: block.name, of: [task]))
            }, floor: floor, readsDouble: spec.mergesInDouble && floor != .none)
    }

    private mutating func addSum(
        _ operation: JointStepSumOperation, _ blocks: [JointBlock], former: UnitIndex?
    ) -> UnitIndex {
        let numbers =
            (former.map { [UnitMeasurement($0, .descent)] } ?? [])
            + (operation.number > 0 ? blocks.map { UnitMeasurement($0.last, .descent) } : [])
        return add(
            operation, reading: blocks.map(\.products) + (former.map { [UnitOutput($0)] } ?? []), numbers: numbers,
            title: operation.number > 0
                ? "direction \(operation.number) under joint rows" : "residual under joint rows",
            about: JointRowsOwner.subject, block: nil)
    }

    private mutating func addStep(_ step: Int, _ block: JointBlock, _ sum: UnitIndex) -> UnitIndex {
        add(
            JointStepOperation(curvature: block.curvature, isFirst: step == 0),
            reading: [block.state, UnitOutput(sum)] + block.inverses + block.operands,
            numbers: (step > 0 ? [UnitMeasurement(sum, .descent)] : []) + block.constants,
            title: "step \(step) of \"\(block.part.name)\" under joint rows", about: block.part.name,
            block: block.part.name)
    }

    private mutating func planSolution(_ block: JointBlock, _ sum: UnitIndex) {
        var operation = block.part.operation
        operation.tasks = []
        (operation.readsDouble, operation.readsSolution) = (false, true)
        products[block.part.name, .blockMerge] = UnitOutput(
            add(
                operation, reading: [block.state], numbers: [UnitMeasurement(sum, .descent)],
                title: "merge of \"\(block.part.name)\"", about: block.part.name, block: block.part.name))
    }
}

extension JointCurvature.TaskRows {
    /// The task as a sum over blocks knows it, in which positions do not occur.
    fileprivate var withoutPooling: Self {
        var task = self
        task.pooledRows = nil
        return task
    }
}
