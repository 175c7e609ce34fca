import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

extension PenaltyOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await PenaltyExecution(operation: self, input: input).run(&scratch)
    }
}

/// Several task vectors against one block's factors.
struct PenaltyExecution {
    let operation: PenaltyOperation
    let input: InputReader

    /// Evaluates tr(B Δ A Δᵀ) or δᵀ F δ for one task vector after the other.
    ///
    /// - Throws: What reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let reader = BlockParameterReader(kind: operation.block, input: input)
        let factors = input.lease.inputs.blobs
        let base = try await reader.read(operation.base)
        var values: [Double] = []
        switch operation.block {
        case .linear:
            let shape = reader.shape
            let penalty = try KroneckerPenalty(
                inputFactor: try await input.factor(factors[0], dimension: shape.columns),
                gradientFactor: try await input.factor(factors[1], dimension: shape.rows))
            for checkpoint in operation.checkpoints {
                let delta = try await reader.taskVector(checkpoint, base: base)
                let start = ContinuousClock.now
                values.append(try penalty.value(of: delta))
                scratch.kernels.note(.product, since: start)
                try input.progress.step()
            }
        case .full:
            let penalty = try FullBlockPenalty(
                block: try await input.factor(factors[0], dimension: reader.shape.columns))
            for checkpoint in operation.checkpoints {
                let delta = try await reader.taskVector(checkpoint, base: base)
                let start = ContinuousClock.now
                values.append(try penalty.value(of: delta.elements))
                scratch.kernels.note(.product, since: start)
                try input.progress.step()
            }
        }
        if let position = values.firstIndex(where: { !$0.isFinite }) {
            let file = operation.checkpoints[position].first.map { input.path(of: $0.slice.file) } ?? "checkpoint"
            throw UnitError.nonFinite(
                "\(file): the penalty of \"\(input.lease.subject)\" overflows fp64, though its parameters are finite; "
                    + "expected parameters near the base's. Check the checkpoint, or write \"interference: false\".")
        }
        return UnitResult(measurements: [.penalties: values])
    }
}
