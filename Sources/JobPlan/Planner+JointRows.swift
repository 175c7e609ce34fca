import Identifiers
import KroneckerFactors
import LinearAlgebra
import UnitOperations

/// The pseudo-rows of tasks and targets.
///
/// A Gram matrix of samples is a sum over layers. So each layer has units of its own: its part of the Gram matrix, and
/// the combinations of its own rows. One unit for each side sums and decomposes. The pseudo-rows of a target are made
/// of those of its tasks in the same way.
///
/// Source: DESIGN section 2.2, joint form.
extension Planner {
    /// Plans the pseudo-rows of each task and target whose file has them, and of the tasks that targets sum.
    mutating func planJointRows() {
        guard spec.curvature.regularizer.form == .pseudoRows else { return }
        // A factor file has the rows of its task, and so have partial sums of one file.
        let tasks = spec.curvedTasks.filter { task in
            spec.outputs.contains(.factors) || targets.contains { $0.includes(task.name) }
                || spec.mergesJointRows && task.model != nil
        }.map(\.name)
        for task in tasks {
            if let rows = inventory.givenJointRows(of: task) { planImport(of: rows, task) }
            guard let captures = inventory.captures[task] else { continue }
            planRowSquares(of: task, captures)
            planJointRows(of: .task(task), tasks: [task]) { planner, position, side in
                planner.capturedRows(position, side, captures).map { ($0, []) }
            }
        }
        for target in targets {
            let summed = tasks.filter(target.includes)
            guard !summed.isEmpty else { continue }
            let total = summed.reduce(0) { $0 + (curvatureWeights[$1] ?? 0) }
            let shares = summed.map { (curvatureWeights[$0] ?? 0) / total }
            planJointRows(of: .target(target), tasks: summed) { planner, position, side in
                planner.summedRows(position, side, summed, shares)
            }
        }
    }

    /// The layers, whose inputs and gradients both have rows; the others are parameters.
    private var layerPositions: [Int] { blocks.indices.filter { blocks[$0].factors.count == 2 } }
    private var parameterPositions: [Int] { blocks.indices.filter { blocks[$0].factors.count == 1 } }

    /// The blocks that have rows of a side.
    private func positions(_ side: FactorSide) -> [Int] { side == .input ? layerPositions : Array(blocks.indices) }

    // MARK: - Rows

    private func capturedRows(_ position: Int, _ side: FactorSide, _ captures: CaptureInventory) -> JointRows? {
        let block = blocks[position]
        let probes = spec.curvature.hasExactProbes ? 1 : captures.probes
        switch block.kind {
        case .linear(_, _, let hasBias, _):
            guard let layer = captures.layers[LayerName(rawValue: block.name)], let positions = layer.positions else {
                return nil
            }
            let rows = side == .input ? layer.input : layer.outputGradient
            guard case .numbers(let type) = rows.rowType else { return nil }
            let divisor = layer.samples * (side == .input ? 1 : probes)
            return JointRows(
                columns: rows.columns, positions: positions, appendsOnes: side == .input && hasBias,
                source: .captured(type, rows.slices, divisor: Double(divisor)))
        case .full:
            guard let parameter = captures.parameters[ParameterName(rawValue: block.name)],
                case .numbers(let type) = parameter.gradient.rowType
            else { return nil }
            return JointRows(
                columns: parameter.gradient.columns, positions: 1, appendsOnes: false,
                source: .captured(type, parameter.gradient.slices, divisor: Double(parameter.samples * probes)))
        }
    }

    /// The pseudo-rows of tasks one after the other: inputs times √λ_t, and gradients as they are.
    private func summedRows(
        _ position: Int, _ side: FactorSide, _ tasks: [TaskName], _ shares: [Double]
    ) -> (JointRows, [UnitOutput])? {
        let outputs = tasks.compactMap { products[block: position, .jointRows(side, of: .task($0))] }
        let operations = outputs.compactMap { units[$0.unit.position].operation as? any PseudoRowsMaking }
        guard operations.count == tasks.count, let first = operations.first else { return nil }
        let parts = zip(operations, scales(side, shares)).map { JointRows.Part(rows: $0.rank, scale: $1) }
        return (
            JointRows(
                columns: first.rowWidth, positions: first.rowPositions, appendsOnes: false,
                source: .parts(parts)), outputs
        )
    }

    /// The rows of all of a task's files one after the other, as one unit has imported them.
    private func importedRows(
        _ position: Int, _ side: FactorSide, _ task: TaskName
    ) -> (JointRows, [UnitOutput])? {
        guard let output = products[block: position, .importedRows(side, of: task)],
            let operation = units[output.unit.position].operation as? ImportJointRowsOperation
        else { return nil }
        return (
            JointRows(
                columns: operation.columns, positions: operation.positions, appendsOnes: false,
                source: .parts([.init(rows: operation.rank, scale: 1)])), [output]
        )
    }

    /// What each task's pseudo-rows are multiplied by in a sum.
    private func scales(_ side: FactorSide, _ shares: [Double]) -> [Double] {
        guard side != .input else { return shares.map { $0.squareRoot() } }
        let isMean = spec.curvature.regularizer.scale == .mean
        return shares.map { _ in isMean ? 1 / Double(shares.count).squareRoot() : 1 }
    }

    private mutating func planRowSquares(of task: TaskName, _ captures: CaptureInventory) {
        for side in [FactorSide.input, .gradient] {
            for position in positions(side) {
                guard let rows = capturedRows(position, side, captures) else { continue }
                let name = blocks[position].name
                if side == .input, let shared = sharedInput(of: position, captures, rows.appendsOnes) {
                    products[block: position, .rowSquares(.input, of: task)] =
                        products[block: shared, .rowSquares(.input, of: task)]
                    continue
                }
                products[block: position, .rowSquares(side, of: task)] = UnitOutput(
                    add(
                        RowSquaresOperation(rows: rows),
                        title: "squares of the \(side.noun) of \"\(name)\" of task \"\(task)\"",
                        about: tensor(position, side, captures), block: name))
            }
        }
    }

    /// The layer with the same input rows, if both or neither have a bias.
    private func sharedInput(of position: Int, _ captures: CaptureInventory, _ hasBias: Bool) -> Int? {
        guard let shared = captures.layers[LayerName(rawValue: blocks[position].name)]?.sharedInput,
            let other = blocks.firstIndex(where: { $0.name == shared.rawValue }), other < position,
            case .linear(_, _, hasBias, _) = blocks[other].kind
        else { return nil }
        return other
    }

    private func tensor(_ position: Int, _ side: FactorSide, _ captures: CaptureInventory) -> String {
        let name = blocks[position].name
        if let layer = captures.layers[LayerName(rawValue: name)] {
            return side == .input ? layer.input.tensor : layer.outputGradient.tensor
        }
        return captures.parameters[ParameterName(rawValue: name)]?.gradient.tensor ?? name
    }

    // MARK: - Sides

    /// The rows of a block's side, and the blobs that hold them.
    private typealias Rows = (borrowing Planner, Int, FactorSide) -> (JointRows, [UnitOutput])?

    private mutating func planJointRows(of owner: JointRowsOwner, tasks: [TaskName], _ rows: Rows) {
        for side in [FactorSide.input, .gradient] {
            let own = positions(side).compactMap { position in
                rows(self, position, side).map { (position: position, rows: $0.0, blobs: $0.1) }
            }
            let hasConstant = side == .input && !parameterPositions.isEmpty
            guard let count = own.first?.rows.count ?? (hasConstant ? constantCount(of: owner, tasks) : nil) else {
                continue
            }
            let weights = planWeights(side, of: owner, tasks)
            let grams = own.map { block in
                planGram(block.rows, reading: block.blobs, block.position, side, of: owner, tasks, weights)
            }
            let eigenvectors = planEigenvectors(side, of: owner, tasks, count, grams, weights, hasConstant)
            for block in own {
                planCombination(block.rows, reading: block.blobs, block.position, side, of: owner, eigenvectors)
            }
        }
    }

    /// The number of input rows of a model without layers.
    private func constantCount(of owner: JointRowsOwner, _ tasks: [TaskName]) -> Int? {
        switch owner {
        case .task(let task): inventory.captures[task]?.samples ?? importedConstant(of: task)?.part.rows
        case .target: constantParts(tasks).map { $0.parts.reduce(0) { $0 + $1.rows } }
        }
    }

    /// The weights of a side are the squares of the other one: of all layers, and of what the constant meets.
    private mutating func planWeights(
        _ side: FactorSide, of owner: JointRowsOwner, _ tasks: [TaskName]
    ) -> UnitMeasurement {
        let other: FactorSide = side == .input ? .gradient : .input
        let parameters = side == .input ? parameterPositions : []
        let numbers = (layerPositions + parameters).flatMap { squares(other, ofBlock: $0, tasks) }
        let operation = JointWeightsOperation(
            taskCount: tasks.count, layerCount: layerPositions.count, parameterCount: parameters.count,
            known: side == .gradient && !parameterPositions.isEmpty ? 1 : 0)
        let unit = add(
            operation, numbers: numbers, title: "weights of the \(side.noun) of \(owner)",
            about: JointRowsOwner.subject, block: nil)
        return UnitMeasurement(unit, .weightSquares)
    }

    private func squares(_ side: FactorSide, ofBlock position: Int, _ tasks: [TaskName]) -> [UnitMeasurement] {
        tasks.compactMap { task in
            products[block: position, .rowSquares(side, of: task)].map { UnitMeasurement($0.unit, .positionSquares) }
        }
    }

    private mutating func planGram(
        _ rows: JointRows, reading blobs: [UnitOutput], _ position: Int, _ side: FactorSide, of owner: JointRowsOwner,
        _ tasks: [TaskName], _ weights: UnitMeasurement
    ) -> UnitOutput {
        let block = blocks[position]
        let other: FactorSide = side == .input ? .gradient : .input
        let lists = block.factors.count == 2 ? squares(other, ofBlock: position, tasks) : []
        return UnitOutput(
            add(
                RowGramOperation(rows: rows, weightListCount: lists.count), reading: blobs, numbers: [weights] + lists,
                title: "Gram matrix of the \(side.noun) of \"\(block.name)\" of \(owner)",
                about: subject(position, side, of: owner), block: block.name))
    }

    private func subject(_ position: Int, _ side: FactorSide, of owner: JointRowsOwner) -> String {
        guard case .task(let task) = owner, let captures = inventory.captures[task] else {
            return blocks[position].name
        }
        return tensor(position, side, captures)
    }

    private mutating func planEigenvectors(
        _ side: FactorSide, of owner: JointRowsOwner, _ tasks: [TaskName], _ count: Int, _ grams: [UnitOutput],
        _ weights: UnitMeasurement, _ hasConstant: Bool
    ) -> UnitOutput {
        let settings = spec.curvature.regularizer.jointRows
        var operation = JointEigenvectorsOperation(
            rows: count, rank: min(count, side == .input ? settings.inputRank : settings.gradientRank),
            gramCount: grams.count, constant: nil)
        var numbers: [UnitMeasurement] = []
        if hasConstant {
            numbers = [weights]
            if case .target = owner, let constants = constantParts(tasks) {
                operation.constant = .parts(constants.parts)
                numbers += constants.numbers
            } else if case .task(let task) = owner, let constant = importedConstant(of: task) {
                operation.constant = .parts([constant.part])
                numbers.append(constant.numbers)
            } else {
                operation.constant = .equal(1 / Double(count).squareRoot())
            }
        }
        let output = UnitOutput(
            add(
                operation, reading: grams, numbers: numbers,
                title: "eigenvectors of the \(side.noun) of \(owner)", about: JointRowsOwner.subject, block: nil))
        products[JointRowsOwner.subject, .jointEigenvectors(side, of: owner)] = output
        return output
    }

    /// The constants of the tasks' input rows.
    private func constantParts(_ tasks: [TaskName]) -> (parts: [JointRows.Part], numbers: [UnitMeasurement])? {
        let outputs = tasks.compactMap {
            products[JointRowsOwner.subject, .jointEigenvectors(.input, of: .task($0))]
        }
        let ranks = outputs.compactMap { constantRank(of: $0) }
        guard ranks.count == tasks.count else { return nil }
        let total = tasks.reduce(0) { $0 + (curvatureWeights[$1] ?? 0) }
        let shares = tasks.map { (curvatureWeights[$0] ?? 0) / total }
        return (
            zip(ranks, scales(.input, shares)).map { JointRows.Part(rows: $0, scale: $1) },
            outputs.map { UnitMeasurement($0.unit, .constantRows) }
        )
    }

    /// The constants of all of a task's files, if they are compressed again.
    private func importedConstant(of task: TaskName) -> (part: JointRows.Part, numbers: UnitMeasurement)? {
        products[JointRowsOwner.subject, .importedRows(.input, of: task)].flatMap { output in
            constantRank(of: output).map {
                (JointRows.Part(rows: $0, scale: 1), UnitMeasurement(output.unit, .constantRows))
            }
        }
    }

    /// The number of a task's input rows, by the unit that measures its constants.
    func constantRank(of output: UnitOutput) -> Int? {
        switch units[output.unit.position].operation {
        case let operation as JointEigenvectorsOperation: operation.rank
        case let operation as ImportJointRowsOperation: operation.rank
        default: nil
        }
    }

    /// Plans the import of a task's joint rows.
    ///
    /// Those of one file are the task's. Those of several files are compressed again, as a target's are.
    private mutating func planImport(of rows: GivenJointRows, _ task: TaskName) {
        for side in [FactorSide.input, .gradient] {
            let purpose: UnitPurpose =
                rows.isWhole ? .jointRows(side, of: .task(task)) : .importedRows(side, of: task)
            for position in positions(side) {
                let name = blocks[position].name
                let isLayer = blocks[position].factors.count == 2
                guard let operation = rows.operation(blocks[position], side),
                    let factor = products[block: position, .factor(isLayer ? side : .full, of: task)]
                else { continue }
                let output = UnitOutput(
                    add(
                        operation, numbers: [UnitMeasurement(factor.unit, .trace)],
                        title: "import of the joint rows of the \(side.noun) of \"\(name)\" of task \"\(task)\"",
                        about: name, block: name))
                products[block: position, .rowSquares(side, of: task)] = output
                products[block: position, purpose] = output
            }
        }
        planConstantImport(of: rows, task)
        guard !rows.isWhole else { return }
        planJointRows(of: .task(task), tasks: [task]) { planner, position, side in
            planner.importedRows(position, side, task)
        }
    }

    private mutating func planConstantImport(of rows: GivenJointRows, _ task: TaskName) {
        guard !parameterPositions.isEmpty, let operation = rows.constantOperation else { return }
        let purpose: UnitPurpose =
            rows.isWhole ? .jointEigenvectors(.input, of: .task(task)) : .importedRows(.input, of: task)
        products[JointRowsOwner.subject, purpose] = UnitOutput(
            add(
                operation, title: "import of the joint rows of the constant of task \"\(task)\"",
                about: JointRowsOwner.subject, block: nil))
    }

    private mutating func planCombination(
        _ rows: JointRows, reading blobs: [UnitOutput], _ position: Int, _ side: FactorSide, of owner: JointRowsOwner,
        _ eigenvectors: UnitOutput
    ) {
        let block = blocks[position]
        if side == .input, let shared = sharedRows(position, rows, blobs, of: owner) {
            products[block: position, .jointRows(side, of: owner)] = shared
            return
        }
        let operation = units[eigenvectors.unit.position].operation as? JointEigenvectorsOperation
        products[block: position, .jointRows(side, of: owner)] = UnitOutput(
            add(
                RowCombinationOperation(rows: rows, rank: operation?.rank ?? 1), reading: [eigenvectors] + blobs,
                title: "pseudo-rows of the \(side.noun) of \"\(block.name)\" of \(owner)",
                about: subject(position, side, of: owner), block: block.name))
    }

    /// The same pseudo-rows of an earlier layer: that of the same captured rows, or of the same blobs.
    private func sharedRows(
        _ position: Int, _ rows: JointRows, _ blobs: [UnitOutput], of owner: JointRowsOwner
    ) -> UnitOutput? {
        switch owner {
        case .task(let task):
            return inventory.captures[task].flatMap { sharedInput(of: position, $0, rows.appendsOnes) }
                .flatMap { products[block: $0, .jointRows(.input, of: owner)] }
        case .target:
            return layerPositions.prefix { $0 < position }.lazy.compactMap { other -> UnitOutput? in
                guard let output = products[block: other, .jointRows(.input, of: owner)],
                    Array(units[output.unit.position].inputs.dropFirst()) == blobs
                else { return nil }
                return output
            }.first
        }
    }
}

extension FactorSide {
    /// The rows of a side, in titles and messages.
    var noun: String { self == .input ? "inputs" : "gradients" }
}
