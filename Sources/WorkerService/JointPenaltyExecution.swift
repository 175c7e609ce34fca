import Identifiers
import LinearAlgebra
import UnitOperations
import WireProtocol

extension JointPenaltyOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await JointPenaltyExecution(operation: self, input: input).run()
    }
}

/// Sums the parts of X, and takes each part's inner product with the sum.
struct JointPenaltyExecution {
    let operation: JointPenaltyOperation
    let input: InputReader

    /// Sums in the order of the lease, with one part in memory beside the sum.
    ///
    /// - Throws: ``UnitError/malformedLease(_:)`` for parts of another size, or what reading throws.
    func run() async throws -> UnitResult {
        let parts = input.lease.inputs.blobs
        for part in parts where part.byteCount != operation.partBytes {
            throw UnitError.malformedLease(
                "blob \(part.digest) has \(part.byteCount) bytes; a part of a joint penalty has \(operation.partBytes)")
        }
        var sum = try Matrix<Double>(rows: operation.gradientRank, columns: operation.inputRank)
        for part in parts { try sum.add(try await matrix(part)) }
        var shares: [Double] = []
        for part in parts { shares.append(try sum.dot(try await matrix(part))) }
        return UnitResult(measurements: [.penalties: shares])
    }

    private func matrix(_ part: BlobReference) async throws -> Matrix<Double> {
        try await input.blobs.prepare([part])
        var matrix = try Matrix<Double>(rows: operation.gradientRank, columns: operation.inputRank)
        try matrix.withMutableBytes { bytes throws in try input.blobs.read(part.digest, at: 0, into: &bytes) }
        try input.progress.step()
        return matrix
    }
}
