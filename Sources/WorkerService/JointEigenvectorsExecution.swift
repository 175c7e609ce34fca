import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

extension JointEigenvectorsOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await JointEigenvectorsExecution(operation: self, input: input).run(&scratch)
    }
}

/// Sums the Gram matrices of a side in fp64, and finds the leading eigenvectors.
struct JointEigenvectorsExecution {
    let operation: JointEigenvectorsOperation
    let input: InputReader

    /// Sums in the order of the lease, with one triangle in memory beside the sum.
    ///
    /// - Throws: `LinearAlgebraError` for a sum that LAPACK cannot decompose, or what reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        var sum = try PackedSymmetricMatrix<Double>(shape: operation.shape)
        for blob in input.lease.inputs.blobs {
            try sum.add(try await input.factor(blob, of: operation.shape), times: 1)
        }
        let constant = try constantColumn()
        if let constant { try add(constant, to: &sum) }
        let start = ContinuousClock.now
        let eigenvectors = try JointEigenvectors(of: sum, rank: operation.rank)
        scratch.kernels.note(.solve, since: start)
        try input.progress.step()
        var measurements: [MeasurementName: [Double]] = [
            .keptShare: [eigenvectors.keptShare], .relativeError: [eigenvectors.relativeError],
        ]
        if let constant { measurements[.constantRows] = eigenvectors.combination(of: constant) }
        let vectors = try Matrix<Float>(narrowing: eigenvectors.vectors)
        let blob = try vectors.withBytes { bytes throws in try input.blobs.store(bytes) }
        return UnitResult(blobs: [blob], measurements: measurements)
    }

    /// The last element of each row; `nil` for a side without the constant.
    private func constantColumn() throws -> [Double]? {
        switch operation.constant {
        case nil: return nil
        case .equal(let value): return [Double](repeating: value, count: operation.rows)
        case .parts(let parts):
            let lists = input.lease.inputs.numbers.dropFirst()
            guard zip(parts, lists).allSatisfy({ $0.rows == $1.count }) else {
                throw UnitError.malformedLease("the constants of joint rows have other lengths than the rows")
            }
            return zip(parts, lists).flatMap { part, list in list.map { part.scale * $0 } }
        }
    }

    /// Adds the weighted outer product of the constant's column.
    private func add(_ column: [Double], to sum: inout PackedSymmetricMatrix<Double>) throws {
        guard let side = input.lease.inputs.numbers.first, side.count == 2 else {
            throw UnitError.malformedLease("the weights of a side are no two numbers")
        }
        let square = JointWeights(largestSquare: side[0]).squaredShare(side[1])
        sum.withMutableSpan { span in
            var index = 0
            for row in column.indices {
                for other in 0...row {
                    span[index] += square * column[row] * column[other]
                    index += 1
                }
            }
        }
    }
}
