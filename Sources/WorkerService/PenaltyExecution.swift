import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

extension PenaltyOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await PenaltyExecution(operation: self, input: input).run(&scratch)
    }
}

/// Evaluates the penalty of several task vectors under one block's factors.
struct PenaltyExecution {
    let operation: PenaltyOperation
    let input: InputReader

    /// Evaluates tr(B Δ A Δᵀ) or δᵀ F δ for each task vector in turn.
    ///
    /// - Throws: What reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let reader = ParameterReader(.block(operation.block), input: input)
        let factors = input.lease.inputs.blobs
        let base = try await reader.read(operation.base)
        var values: [Double] = []
        switch operation.block {
        case .linear:
            let shapes = operation.block.factors.map(\.shape)
            let penalty = try KroneckerPenalty(
                inputFactor: try await input.factor(factors[0], of: shapes[0]),
                gradientFactor: try await input.factor(factors[1], of: shapes[1]))
            for position in operation.checkpoints.indices {
                if let delta = try await vector(position, reader, base: base) {
                    let start = ContinuousClock.now
                    values.append(try penalty.value(of: delta))
                    scratch.kernels.note(.product, since: start)
                } else {
                    values.append(.nan)
                }
                try input.progress.step()
            }
        case .full:
            let penalty = try FullBlockPenalty(
                block: try await input.factor(factors[0], of: .full(reader.shape.columns)))
            for position in operation.checkpoints.indices {
                if let delta = try await vector(position, reader, base: base) {
                    let start = ContinuousClock.now
                    values.append(try penalty.value(of: delta.elements))
                    scratch.kernels.note(.product, since: start)
                } else {
                    values.append(.nan)
                }
                try input.progress.step()
            }
        }
        let unweighted = Set(operation.unweighted)
        if let position = values.indices.first(where: { !values[$0].isFinite && !unweighted.contains($0) }) {
            let file = operation.checkpoints[position].first.map { input.path(of: $0.ownSlice.file) } ?? "checkpoint"
            throw UnitError.nonFinite(
                "\(file): the penalty of \"\(input.lease.subject)\" overflows fp64, though its parameters are finite; "
                    + "expected parameters near the base's. Check the checkpoint, or write \"interference: false\".")
        }
        return UnitResult(measurements: [.penalties: values])
    }

    /// A task vector; `nil` for one with weight 0 that is not finite, because it affects no other task.
    private func vector(
        _ position: Int, _ reader: ParameterReader, base: borrowing Matrix<Double>
    ) async throws -> Matrix<Double>? {
        do {
            return try await reader.taskVector(operation.checkpoints[position], base: base)
        } catch UnitError.nonFinite where operation.unweighted.contains(position) {
            return nil
        }
    }
}
