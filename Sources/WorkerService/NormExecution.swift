import LinearAlgebra
import UnitOperations
import WireProtocol

extension NormOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await NormExecution(operation: self, input: input).run()
    }
}

/// Sums the squares of several task vectors over parts of tensors, part by part.
struct NormExecution {
    let operation: NormOperation
    let input: InputReader

    /// Evaluates the sums; that of a vector which is not finite is NaN.
    ///
    /// - Throws: What reading throws.
    func run() async throws -> UnitResult {
        guard operation.checkpoints.allSatisfy({ $0.count == operation.base.count }) else {
            throw UnitError.malformedLease("the models have different numbers of parts")
        }
        var squaredNorms = [Double](repeating: 0, count: operation.checkpoints.count)
        for (part, source) in operation.base.enumerated() {
            let count = Int(source.byteCount) / source.elementType.byteCount
            let reader = ParameterReader(.tensor(rows: 1, columns: count), input: input)
            do {
                let base = try await reader.read([source])
                for (position, checkpoint) in operation.checkpoints.enumerated() {
                    squaredNorms[position] += try await squaredNorm([checkpoint[part]], reader, base: base)
                }
            } catch UnitError.nonFinite {
                // A base that is not finite has no task vectors.
                squaredNorms = squaredNorms.map { _ in .nan }
            }
        }
        return UnitResult(measurements: [.squaredNorms: squaredNorms])
    }

    private func squaredNorm(
        _ checkpoint: ParameterSources, _ reader: ParameterReader, base: borrowing Matrix<Double>
    ) async throws -> Double {
        try input.progress.step()
        do {
            let delta = try await reader.taskVector(checkpoint, base: base)
            return try delta.dot(delta)
        } catch UnitError.nonFinite {
            return .nan
        }
    }
}
