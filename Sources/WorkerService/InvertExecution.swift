import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

extension InvertOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await InvertExecution(operation: self, input: input).run(&scratch)
    }
}

/// Computes the damped inverse of a factor.
struct InvertExecution {
    let operation: InvertOperation
    let input: InputReader

    /// Fetches the factor and inverts it.
    ///
    /// - Throws: ``UnitError/badInput(_:)`` for a factor that cannot be inverted even with clamped eigenvalues.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let factor = try await input.factor(input.lease.inputs.blobs[0], of: operation.shape)
        let start = ContinuousClock.now
        let scale = FactorScale(trace: factor.trace, dimension: operation.shape.dimension)
        let damping = try Damping(operation.damping.rule, operation.damping.value)
        let amount = operation.isFullBlock ? damping.amount(fullBlock: scale) : damping.amount(side: scale)
        let inverse: DampedInverse
        do {
            inverse = try DampedInverse(of: factor, damping: amount)
        } catch {
            guard error.isBadInput else { throw error }
            throw UnitError.badInput("\(input.lease.title): \(error)")
        }
        scratch.kernels.note(.inverse, since: start)
        scratch.kernels.note(inverse.health)
        try input.progress.step()
        let measurements = inverse.health.measurements
        let matrix = inverse.intoInverse()
        return UnitResult(
            blobs: [try input.blobs.store(matrix, at: 0)], measurements: measurements)
    }
}

extension FactorHealth {
    /// The measurements of the factor's health, under the report's names.
    var measurements: [MeasurementName: [Double]] {
        var measurements: [MeasurementName: [Double]] = [
            .damping: [requestedDamping], .dampingUsed: [damping], .meanEigenvalue: [meanDiagonal],
            .attempts: [Double(attempts)], .pinned: [Double(pinnedCount)],
            .clamped: [remedy == .clampedEigenvalues ? 1 : 0],
        ]
        // An unknown value is left out, because NaN would make two equal results differ.
        if conditionEstimate.isFinite { measurements[.condition] = [conditionEstimate] }
        if let rankEstimate, rankEstimate.isFinite { measurements[.rank] = [rankEstimate] }
        if let smallestEigenvalue { measurements[.smallestEigenvalue] = [smallestEigenvalue] }
        if let largestEigenvalue { measurements[.largestEigenvalue] = [largestEigenvalue] }
        return measurements
    }
}
