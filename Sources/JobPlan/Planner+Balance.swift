import Identifiers
import KroneckerFactors
import LinearAlgebra
import UnitOperations

/// The scalar of each layer and task that gives tr(A) tr(B) the exact trace.
///
/// Source: DESIGN section 2.1.
extension Planner {
    /// The most bytes of rows that are read at once.
    private static let tracedChunkBytes = 256 << 20

    /// Plans the balanced B of a layer and task, after the factors, if the job asks for it.
    mutating func planBalance(of block: CurvatureBlock, at position: Int, _ task: TaskName) {
        guard spec.curvature.regularizer.balance == .trace, block.factors.count == 2,
            let input = products[block: position, .factor(.input, of: task)],
            let gradient = products[block: position, .factor(.gradient, of: task)],
            let (scalar, traces) = balance(of: block, task, input, gradient)
        else { return }
        var numbers: [UnitMeasurement] = []
        if case .measured = scalar {
            numbers = [UnitMeasurement(input.unit, .trace), UnitMeasurement(gradient.unit, .trace)] + traces
        }
        var operation = BalanceOperation(shape: block.factors[1].shape, scalar: scalar)
        operation.givesDouble = doubledTasks.contains(task)
        let output = UnitOutput(
            add(
                operation, reading: [operation.givesDouble ? double(gradient) : gradient], numbers: numbers,
                title: "balance of \"\(block.name)\" of task \"\(task)\"", about: block.name, block: block.name))
        products[block: position, .balance(of: task)] = output
        products[block: position, .balancedFactor(.gradient, of: task)] = output
    }

    /// Where a scalar comes from, and the parts of the exact trace that units measure for it.
    ///
    /// The exact trace of a weight with several uses is the sum of theirs: like the factors, it leaves out what two
    /// uses share in a sample.
    private mutating func balance(
        of block: CurvatureBlock, _ task: TaskName, _ input: UnitOutput, _ gradient: UnitOutput
    ) -> (BalanceOperation.Scalar, [UnitMeasurement])? {
        if let set = inventory.factorSets[task] { return set.balances[block.name].map { (.stated($0), []) } }
        var measured = BalanceOperation.Measured(
            inputPlace: input.position, gradientPlace: gradient.position, partCount: 0)
        var traces: [UnitMeasurement] = []
        for layer in inventory.layers(of: block, in: task) {
            if let captures = inventory.captures[task] {
                traces += planExactTrace(of: layer, in: block, task, captures)
            } else if let partials = inventory.partials[task] {
                measured.known += exactTrace(of: layer.name, partials) ?? 0
            }
        }
        measured.partCount = traces.count
        return (.measured(measured), traces)
    }

    /// A layer's exact trace by partial sums.
    private func exactTrace(of layer: String, _ partials: PartialsInventory) -> Double? {
        guard let sum = partials.exactTraces[layer], let counts = partials.counts[layer], counts.samples > 0 else {
            return nil
        }
        let probes = spec.curvature.hasExactProbes ? 1 : partials.probes
        return sum / (Double(counts.samples) * Double(probes))
    }

    /// Plans the exact trace of captured rows, in parts by files if it is large.
    private mutating func planExactTrace(
        of layer: CurvatureBlock, in block: CurvatureBlock, _ task: TaskName, _ captures: CaptureInventory
    ) -> [UnitMeasurement] {
        guard case .linear(_, _, let hasBias, _) = layer.kind,
            let captured = captures.layers[LayerName(rawValue: layer.name)],
            captured.input.slices.count == captured.outputGradient.slices.count
        else { return [] }
        let chunkRows = tracedChunkRows(captured)
        let whole = ExactTraceOperation(
            inputs: .init(captured.input), appendsOnes: hasBias, gradients: .init(captured.outputGradient),
            probes: captures.probes, borders: borders(of: captured), chunkRows: chunkRows,
            divisor: Double(captured.samples) * Double(spec.curvature.hasExactProbes ? 1 : captures.probes))
        let slices = captured.input.slices.count
        // Limit the number before the conversion to an integer: a hostile file may state any dimension.
        let parts = max(1, Int(min(Double(slices), (whole.cost.multiplyAdds / limits.partMultiplyAdds).rounded(.up))))
        let slicesOfPart = (slices + parts - 1) / parts
        return stride(from: 0, to: slices, by: slicesOfPart).map { first in
            let range = first..<min(first + slicesOfPart, slices)
            let title = "exact trace of \"\(layer.name)\" of task \"\(task)\""
            return UnitMeasurement(
                add(
                    whole.part(range), title: range.count < slices ? "\(title), files from \(first)" : title,
                    about: captured.ownName, block: block.name), .exactTrace)
        }
    }

    /// What tells the samples of rows; without any, every row counts as a sample.
    private func borders(of layer: CaptureInventory.Layer) -> ExactTraceOperation.Borders {
        if let positions = layer.positions { return .positions(positions) }
        return layer.rowSamples.isEmpty ? .positions(1) : .numbers(layer.rowSamples)
    }

    /// Whole samples, as many as the limits allow; a part of one if it is larger.
    private func tracedChunkRows(_ layer: CaptureInventory.Layer) -> Int {
        let rowBytes = layer.input.columns.saturatingSum(layer.outputGradient.columns).saturatingProduct(4)
        let most = max(1, min(limits.chunkRows, Self.tracedChunkBytes / max(1, rowBytes), layer.input.rows))
        let positions = layer.positions ?? 1
        return positions <= most ? most / positions * positions : most
    }
}

extension ExactTraceOperation.Rows {
    fileprivate init(_ rows: CapturedRows) {
        self.init(columns: rows.columns, type: rows.rowType, slices: rows.slices)
    }
}

extension ExactTraceOperation {
    /// The same over some of the slices.
    fileprivate func part(_ range: Range<Int>) -> ExactTraceOperation {
        var part = self
        part.inputs.slices = Array(inputs.slices[range])
        part.gradients.slices = Array(gradients.slices[range])
        if case .numbers(let numbers) = borders { part.borders = .numbers(Array(numbers[range])) }
        return part
    }
}

extension CaptureInventory.Layer {
    /// The layer's name in the files.
    fileprivate var ownName: String {
        let suffix = ".output_grad"
        let tensor = outputGradient.tensor
        return tensor.hasSuffix(suffix) ? String(tensor.dropLast(suffix.count)) : tensor
    }
}
