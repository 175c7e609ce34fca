import Identifiers
import KroneckerFactors
import LinearAlgebra
import UnitOperations

/// The factors of each task: from rows, from a finished set, or from partial sums.
extension Planner {
    /// The factors of a layer or parameter, by side.
    typealias Factors = [FactorSide: UnitOutput]

    /// The bytes of a chunk of rows of which only the squares are summed; such rows may be very long.
    private static let diagonalChunkBytes = 64 << 20
    /// Indices are much shorter than rows of numbers, so more of them make a chunk.
    private static let indicesOfRow = 64

    /// Plans all factors of a task.
    mutating func planFactors(of task: TaskName) {
        // A of each layer, for the layers that read the same rows.
        var inputs: [String: UnitOutput] = [:]
        for (position, block) in blocks.enumerated() {
            let layers = inventory.layers(of: block, in: task)
            let factors = layers.map { layer in
                let factors = planFactors(of: layer, in: block, task, inputs)
                inputs[layer.name] = factors[.input]
                return factors
            }
            let isSum = !block.uses.isEmpty && inventory.factorSets[task]?.uses[block.name] == nil
            for (side, output) in isSum ? sum(layers, factors, of: block, task) : factors.first ?? [:] {
                products[block: position, .factor(side, of: task)] = output
                products[block: position, .balancedFactor(side, of: task)] = output
            }
            planBalance(of: block, at: position, task)
        }
    }

    private mutating func planFactors(
        of layer: CurvatureBlock, in block: CurvatureBlock, _ task: TaskName, _ inputs: [String: UnitOutput]
    ) -> Factors {
        if let captures = inventory.captures[task] { return planFactors(of: layer, in: block, task, captures, inputs) }
        if let set = inventory.factorSets[task] { return planImport(of: layer, in: block, task, from: set) }
        if let partials = inventory.partials[task] { return planSums(of: layer, in: block, task, from: partials) }
        return [:]
    }

    /// Plans the sum of a task's factors over the uses of a weight.
    private mutating func sum(
        _ layers: [CurvatureBlock], _ factors: [Factors], of block: CurvatureBlock, _ task: TaskName
    ) -> Factors {
        let uses = zip(layers, factors).compactMap { layer, factors -> Factors? in
            guard let use = block.uses.first(where: { $0.name == layer.name }), factors.count == 2 else { return nil }
            return Dictionary(uniqueKeysWithValues: factors.map { (use.side($0.key), $0.value) })
        }
        guard !uses.isEmpty else { return [:] }
        var operation = SumUsesOperation(
            inputShape: block.factors[0].shape, gradientShape: block.factors[1].shape, useCount: uses.count)
        operation.givesDouble = doubledTasks.contains(task)
        let summed = uses.compactMap { $0[.input] } + uses.compactMap { $0[.gradient] }
        let unit = add(
            operation, reading: operation.givesDouble ? summed.map(double) : summed,
            title: "sum over \(uses.count) uses of the factors of \"\(block.name)\" of task \"\(task)\"",
            about: block.name, block: block.name)
        return Dictionary(
            uniqueKeysWithValues: block.factors.map { side, _ in
                (side, UnitOutput(unit, SumUsesOperation.position(of: side)))
            })
    }

    // MARK: - Captures

    private mutating func planFactors(
        of layer: CurvatureBlock, in block: CurvatureBlock, _ task: TaskName, _ captures: CaptureInventory,
        _ inputs: [String: UnitOutput]
    ) -> Factors {
        var factors: Factors = [:]
        for (side, shape) in layer.factors {
            let name = FactorName(owner: layer.name, side: side)
            if side == .input, let shared = captures.layers[LayerName(rawValue: layer.name)]?.sharedInput,
                let output = inputs[shared.rawValue], shape == self.shape(of: output)
            {
                factors[side] = output
            } else if var indices = indexFactor(layer, side, captures) {
                indices.operation.givesDouble = doubledTasks.contains(task)
                factors[side] = UnitOutput(
                    add(
                        indices.operation, title: "factor \"\(name)\" of task \"\(task)\"", about: indices.tensor,
                        block: block.name))
            } else if let (rows, operation) = factorTemplate(layer, side, captures) {
                var template = operation
                template.givesDouble = doubledTasks.contains(task)
                factors[side] = planFactor(name, in: block, of: task, rows: rows, template: template)
            }
        }
        return factors
    }

    private func shape(of output: UnitOutput) -> SymmetricShape? {
        switch units[output.unit.position].operation {
        case let operation as FactorOperation: operation.shape
        case let operation as IndexFactorOperation: operation.shape
        case let operation as CombineOperation: operation.shape
        default: nil
        }
    }

    /// A of a layer whose input rows are indices.
    private func indexFactor(
        _ layer: CurvatureBlock, _ side: FactorSide, _ captures: CaptureInventory
    ) -> (tensor: String, operation: IndexFactorOperation)? {
        guard side == .input, case .linear(_, let inputs, let hasBias, _) = layer.kind,
            let captured = captures.layers[LayerName(rawValue: layer.name)],
            let indexType = captured.input.indexType,
            let counts = try? SampleCounts(samples: captured.samples, rows: captured.input.rows)
        else { return nil }
        let normalization = spec.curvature.normalization
        var operation = IndexFactorOperation(
            indexCount: inputs, appendsOnes: hasBias, indexType: indexType, rowSlices: captured.input.slices,
            chunkRows: min(limits.chunkRows * Self.indicesOfRow, captured.input.rows),
            divisor: normalization.divisor(of: side, counts: counts))
        if normalization == .reduce {
            operation.averagedPositions = captured.positions.flatMap { $0 > 1 ? $0 : nil }
            operation.sampleNumbers = captured.positions == nil ? captured.rowSamples : []
        }
        return (captured.input.tensor, operation)
    }

    /// The inputs of a factor and its computation, without the limits of its parts.
    private func factorTemplate(
        _ block: CurvatureBlock, _ side: FactorSide, _ captures: CaptureInventory
    ) -> (rows: CapturedRows, template: FactorOperation)? {
        switch block.kind {
        case .linear(_, _, let hasBias, let diagonals):
            guard let layer = captures.layers[LayerName(rawValue: block.name)] else { return nil }
            let rows = side == .input ? layer.input : layer.outputGradient
            let operation = template(
                rows, side: side, appendsOnes: side == .input && hasBias, samples: layer.samples,
                inputRows: layer.input.rows, positions: layer.positions ?? 1, probes: captures.probes,
                isDiagonal: diagonals.isSuperset(of: DiagonalSides(side)))
            guard var operation else { return nil }
            if layer.positions == nil, spec.curvature.normalization == .reduce {
                operation.sampleReduction = SampleReduction(isMean: side == .input, numbers: layer.rowSamples)
            }
            return (rows, operation)
        case .full:
            guard let parameter = captures.parameters[ParameterName(rawValue: block.name)] else { return nil }
            let operation = template(
                parameter.gradient, side: .full, appendsOnes: false, samples: parameter.samples,
                inputRows: parameter.samples, positions: 1, probes: captures.probes, isDiagonal: false)
            return operation.map { (parameter.gradient, $0) }
        }
    }

    private func template(
        _ rows: CapturedRows, side: FactorSide, appendsOnes: Bool, samples: Int, inputRows: Int, positions: Int,
        probes: Int, isDiagonal: Bool
    ) -> FactorOperation? {
        let normalization = spec.curvature.normalization
        let probes: GradientProbes =
            spec.curvature.hasExactProbes ? .exactBasis(outputCount: probes) : .monteCarlo(count: probes)
        guard case .numbers(let elementType) = rows.rowType,
            let counts = try? SampleCounts(samples: samples, rows: inputRows, probes: probes)
        else { return nil }
        let reduction = normalization.positionReduction(of: side, positions: positions)
        let group = reduction == .none ? 1 : positions
        let most = isDiagonal ? max(1, Self.diagonalChunkBytes / rows.columns.saturatingProduct(4)) : limits.chunkRows
        return FactorOperation(
            columns: rows.columns, appendsOnes: appendsOnes, elementType: elementType, rowSlices: rows.slices,
            chunkRows: max(group, min(limits.chunkRows, most, rows.rows) / group * group),
            reduction: reduction, divisor: normalization.divisor(of: side, counts: counts), isDiagonal: isDiagonal)
    }

    private mutating func planFactor(
        _ name: FactorName, in block: CurvatureBlock, of task: TaskName, rows: CapturedRows, template: FactorOperation
    ) -> UnitOutput {
        let multiplyAdds = template.shape.productMultiplyAdds * Double(rows.rows)
        let chunks = (rows.rows + template.chunkRows - 1) / template.chunkRows
        // Limit the number by the chunks before the conversion to an integer: a hostile file may state any dimension.
        // Only the worker knows where samples of different lengths end, so such a factor is not split.
        let isSplit = template.sampleReduction == nil
        let parts =
            isSplit ? max(1, Int(min(Double(chunks), (multiplyAdds / limits.partMultiplyAdds).rounded(.up)))) : 1
        let title = "factor \"\(name)\" of task \"\(task)\""
        guard parts > 1 else {
            return UnitOutput(add(template, title: title, about: rows.tensor, block: block.name))
        }
        let rowsPerPart = (chunks + parts - 1) / parts * template.chunkRows
        var outputs: [UnitOutput] = []
        for first in stride(from: 0, to: rows.rows, by: rowsPerPart) {
            var part = template
            part.rowSlices = rows.slices(of: first..<min(first + rowsPerPart, rows.rows))
            part.divisor = nil
            outputs.append(
                UnitOutput(
                    add(part, title: "\(title), rows from \(first)", about: rows.tensor, block: block.name)))
        }
        var combine = CombineOperation(
            partCount: outputs.count, shape: template.shape, divisor: template.divisor ?? 1)
        combine.givesDouble = template.givesDouble
        return UnitOutput(
            add(
                combine, reading: outputs, title: "sum of the parts of \(title)", about: name.description,
                block: block.name))
    }

    // MARK: - Finished sets

    private mutating func planImport(
        of layer: CurvatureBlock, in block: CurvatureBlock, _ task: TaskName, from set: FactorSetInventory
    ) -> Factors {
        var factors: Factors = [:]
        for (side, _) in layer.factors {
            let name = FactorName(owner: layer.name, side: side)
            guard let factor = set.factors[name] else { continue }
            var operation = ImportOperation(
                shape: factor.shape, elementType: factor.elementType, isPacked: factor.isPacked, slice: factor.slice,
                compression: factor.compression)
            operation.givesDouble = doubledTasks.contains(task)
            factors[side] = UnitOutput(
                add(
                    operation, title: "import of factor \"\(name)\" of task \"\(task)\"", about: name.description,
                    block: block.name))
        }
        return factors
    }
}
