import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

extension CompressOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await CompressExecution(operation: self, input: input).run(&scratch)
    }
}

/// Compresses a matrix for a file, decodes it again, and measures what it lost.
struct CompressExecution {
    let operation: CompressOperation
    let input: InputReader

    /// Fetches the matrix and compresses it.
    ///
    /// - Throws: ``UnitError/badInput(_:)`` for a matrix that the form or fp32 cannot hold, or what reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        var matrix = try await input.factor(input.lease.inputs.blobs[0], of: .full(operation.dimension))
        if operation.strength != 1 {
            matrix.multiply(by: operation.strength)
            guard matrix.firstNonFiniteRow() == nil else {
                throw UnitError.badInput(
                    "\(input.lease.title): the strength \(operation.strength) makes it larger than fp32 can hold. Lower "
                        + "it in \"groups\".")
            }
        }
        let start = ContinuousClock.now
        let compressed = try CompressedSymmetricMatrix(compressing: matrix, as: operation.form)
        try input.progress.step()
        let loss = try loss(of: compressed, from: matrix)
        scratch.kernels.note(.solve, since: start)
        try input.progress.step()
        return UnitResult(
            blobs: [try input.blobs.store(compressed.bytes.span.bytes)],
            measurements: [
                .relativeError: [loss.relativeError], .smallestEigenvalue: [loss.smallestEigenvalue],
                .meanEigenvalue: [loss.meanEigenvalue], .diagonalShift: [loss.shift],
            ])
    }

    private func loss(
        of compressed: CompressedSymmetricMatrix, from matrix: borrowing PackedSymmetricMatrix<Float>
    ) throws -> CompressionLoss {
        do throws(LinearAlgebraError) {
            return try CompressionLoss(of: try compressed.decoded(), from: matrix, repairs: operation.repairs)
        } catch {
            guard case .nonFinite(let row) = error else { throw error }
            throw UnitError.badInput(
                "\(input.lease.title): row \(row) holds values that \(operation.form.word.rawValue) cannot hold. Choose "
                    + "another form, or scale the captures or factors of all tasks down.")
        }
    }
}
