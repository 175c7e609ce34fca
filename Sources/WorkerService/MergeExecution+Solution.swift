import Identifiers
import LinearAlgebra
import TaskArithmetic
import UnitOperations
import WireProtocol

extension MergeExecution {
    /// Writes θ_0 + α Δ of a vector that an iteration over all blocks has found.
    ///
    /// - Returns: The merged parameters, with the iteration's steps and residual.
    /// - Throws: ``UnitError/malformedLease(_:)`` for a blob or numbers of another length, or what reading throws.
    func writeSolution() async throws -> UnitResult {
        guard let blob = input.lease.inputs.blobs.first,
            let descent = input.lease.inputs.numbers.first.flatMap(JointDescent.init)
        else {
            throw UnitError.malformedLease("\"\(input.lease.subject)\" has no solution")
        }
        var delta = try Matrix<Double>(
            rows: operation.parameters.shape.rows, columns: operation.parameters.shape.columns)
        let bytes = UInt64(delta.elementCount).saturatingProduct(8)
        guard blob.byteCount >= bytes, blob.byteCount.isMultiple(of: bytes) else {
            throw UnitError.malformedLease(
                "blob \(blob.digest) has \(blob.byteCount) bytes; a matrix of \"\(input.lease.subject)\" has \(bytes)")
        }
        try await input.blobs.prepare([blob])
        try delta.withMutableBytes { bytes throws in try input.blobs.read(blob.digest, at: 0, into: &bytes) }
        var output = UnitResult(measurements: [
            .iterations: [Double(descent.steps)], .residual: [descent.residual],
            .mergedNorm: [try delta.frobeniusNorm()],
        ])
        try await store(delta, try await base(), in: &output)
        return output
    }
}
