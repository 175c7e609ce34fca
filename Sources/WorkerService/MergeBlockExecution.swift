import Identifiers
import KroneckerFactors
import LinearAlgebra
import TaskArithmetic
import UnitOperations
import WireProtocol

extension MergeBlockOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await MergeBlockExecution(operation: self, input: input).run(&scratch)
    }
}

/// The `kfac` merge of one block: it reads task by task and writes the merged parameters.
///
/// A layer's factors are read twice, for their means and for the products. That takes less time than a third product
/// for each task, and less memory than three more sums.
struct MergeBlockExecution {
    let operation: MergeBlockOperation
    let input: InputReader

    private var reader: BlockParameterReader { BlockParameterReader(kind: operation.block, input: input) }

    /// Solves for Δ and writes θ_0 + α Δ in the output types.
    ///
    /// - Throws: ``UnitError/badInput(_:)`` for parameters or factors that are not finite, or what reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        guard operation.outputTypes.count == operation.block.parameterCount else {
            throw UnitError.malformedLease("\"\(input.lease.subject)\" has \(operation.outputTypes.count) outputs")
        }
        let base = try await reader.read(operation.base)
        var output = UnitResult()
        do {
            switch operation.block {
            case .linear: output.blobs = try await mergeLayer(base, &scratch, &output.measurements)
            case .full: output.blobs = try await mergeParameter(base, &scratch, &output.measurements)
            }
        } catch let error as TaskArithmeticError {
            guard case .kroneckerFactors(let cause) = error, cause.isBadInput else { throw error }
            throw UnitError.badInput("merge of \"\(input.lease.subject)\": \(error)")
        }
        return output
    }

    private func mergeLayer(
        _ base: borrowing Matrix<Double>, _ scratch: inout LaneScratch,
        _ measurements: inout [MeasurementName: [Double]]
    ) async throws -> [BlobReference] {
        var merge = try await begin(base, &scratch)
        for (position, task) in operation.tasks.enumerated() {
            let (inputFactor, gradientFactor) = factors(ofTask: position)
            let input = try await self.input.factor(inputFactor, dimension: base.columnCount)
            let gradient = try await self.input.factor(gradientFactor, dimension: base.rowCount)
            let delta = try await weightedTaskVector(task, base)
            let start = ContinuousClock.now
            try merge.add(delta: delta, inputFactor: input, gradientFactor: gradient)
            scratch.kernels.note(.product, since: start)
            try self.input.progress.step()
        }
        let start = ContinuousClock.now
        let merged = try merge.finish()
        scratch.kernels.note(.solve, since: start)
        scratch.kernels.note(merged.inputHealth)
        scratch.kernels.note(merged.gradientHealth)
        try input.progress.step()
        measurements = merged.inputHealth.measurements.merging(merged.gradientHealth.measurements) { $0 + $1 }
            .merging(merged.norms.measurements) { $1 }
        return try encode(base, merged.intoDelta())
    }

    /// The means of all tasks' factors; the first mean is made invertible.
    private func begin(_ base: borrowing Matrix<Double>, _ scratch: inout LaneScratch) async throws -> KroneckerMerge {
        var means = try KroneckerMeans(outputCount: base.rowCount, inputCount: base.columnCount)
        for (position, task) in operation.tasks.enumerated() {
            let (inputFactor, gradientFactor) = factors(ofTask: position)
            let input = try await self.input.factor(inputFactor, dimension: base.columnCount)
            let gradient = try await self.input.factor(gradientFactor, dimension: base.rowCount)
            try means.add(inputFactor: input, gradientFactor: gradient, lambda: task.lambda)
        }
        let start = ContinuousClock.now
        let damping = try Damping(operation.damping.rule, operation.damping.value)
        let merge = try KroneckerMerge(means: means, damping: damping)
        scratch.kernels.note(.solve, since: start)
        try input.progress.step()
        return merge
    }

    /// A and B of a task, by its position.
    private func factors(ofTask position: Int) -> (input: BlobReference, gradient: BlobReference) {
        let blobs = input.lease.inputs.blobs
        return (blobs[2 * position], blobs[2 * position + 1])
    }

    private func mergeParameter(
        _ base: borrowing Matrix<Double>, _ scratch: inout LaneScratch,
        _ measurements: inout [MeasurementName: [Double]]
    ) async throws -> [BlobReference] {
        var merge = try FullBlockMerge(count: base.columnCount)
        for (task, blob) in zip(operation.tasks, input.lease.inputs.blobs) {
            let block = try await input.factor(blob, dimension: base.columnCount)
            let delta = try await weightedTaskVector(task, base)
            let start = ContinuousClock.now
            try merge.add(delta: delta, block: block, lambda: task.lambda)
            scratch.kernels.note(.product, since: start)
            try input.progress.step()
        }
        let start = ContinuousClock.now
        let merged = try merge.finish(damping: Damping(operation.damping.rule, operation.damping.value))
        scratch.kernels.note(.solve, since: start)
        scratch.kernels.note(merged.health)
        measurements = merged.health.measurements.merging(merged.norms.measurements) { $1 }
        return try encode(base, merged.intoDelta())
    }

    /// w_t (θ_t − θ_0).
    private func weightedTaskVector(
        _ task: MergeBlockOperation.Task, _ base: borrowing Matrix<Double>
    ) async throws -> Matrix<Double> {
        var delta = try await reader.taskVector(task.parameters, base: base)
        if task.weight != 1 {
            delta.withMutableSpan { span in
                for index in span.indices { span[index] *= task.weight }
            }
        }
        return delta
    }

    /// Encodes θ_0 + α Δ, each element rounded once: the weight's bytes, then the bias's.
    private func encode(_ base: borrowing Matrix<Double>, _ delta: consuming Matrix<Double>) throws -> [BlobReference] {
        var merged = delta
        var isFinite = true
        merged.withMutableSpan { merged in
            base.withSpan { base in
                for index in merged.indices {
                    let value = base[index] + operation.scale * merged[index]
                    merged[index] = value
                    isFinite = isFinite && value.isFinite
                }
            }
        }
        guard isFinite else {
            throw UnitError.nonFinite(
                "merge of \"\(input.lease.subject)\": the merged parameters are not finite; check the checkpoints for "
                    + "NaN or infinity, or raise the damping.")
        }
        switch operation.block {
        case .full: return [try encode(merged, columns: 0..<merged.columnCount, as: operation.outputTypes[0])]
        case .linear(_, let inputs, let hasBias):
            let weight = try encode(merged, columns: 0..<inputs, as: operation.outputTypes[0])
            guard hasBias else { return [weight] }
            return [weight, try encode(merged, columns: inputs..<inputs + 1, as: operation.outputTypes[1])]
        }
    }

    private func encode(
        _ matrix: borrowing Matrix<Double>, columns: Range<Int>, as type: ElementType
    ) throws -> BlobReference {
        let rowBytes = columns.count * type.byteCount
        let (rows, width) = (matrix.rowCount, matrix.columnCount)
        var bytes = [UInt8](repeating: 0, count: rows * rowBytes)
        var span = bytes.mutableSpan
        var target = span.mutableBytes
        try matrix.withSpan { values throws in
            for row in 0..<rows {
                var part = target._mutatingExtracting(row * rowBytes..<(row + 1) * rowBytes)
                let start = row * width
                try type.encode(
                    values.extracting(start + columns.lowerBound..<start + columns.upperBound), into: &part)
            }
        }
        if let overflow = overflow(bytes.span.bytes, of: matrix, columns: columns, as: type) {
            let name = reader.block.parameters[columns.lowerBound == 0 ? 0 : 1]
            throw UnitError.badInput("tensor \"\(name)\" of the merged checkpoint: \(overflow)")
        }
        return try input.blobs.store(bytes.span.bytes)
    }

    /// The merged values that overflow their type.
    private func overflow(
        _ bytes: RawSpan, of matrix: borrowing Matrix<Double>, columns: Range<Int>, as type: ElementType
    ) -> RangeOverflow? {
        let positions = type.nonFinitePositions(in: bytes)
        guard let first = positions.first else { return nil }
        let width = matrix.columnCount
        let magnitudes = matrix.withSpan { values in
            positions.map { position in
                let (row, column) = position.quotientAndRemainder(dividingBy: columns.count)
                return values[row * width + columns.lowerBound + column].magnitude
            }
        }
        return RangeOverflow(
            count: positions.count, firstIndex: first, magnitude: magnitudes.largest() ?? .nan, type: type)
    }
}

extension MergedNorms {
    /// The norms, under the report's names.
    var measurements: [MeasurementName: [Double]] { [.mergedNorm: [merged], .meanNorm: [mean]] }
}
