import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

extension RowGramOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await RowGramExecution(operation: self, input: input).run(&scratch)
    }
}

/// Sums the weighted Gram matrix of joint rows, block of columns by block of columns.
struct RowGramExecution {
    let operation: RowGramOperation
    let input: InputReader

    private var rows: JointRows { operation.rows }

    /// Reads the rows once, and stores the triangle.
    ///
    /// - Throws: ``UnitError/badInput(_:)`` for rows whose products fp32 cannot hold, or what reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let shares = try weightShares()
        let reader = try await JointRowReader(rows, blobs: input.lease.inputs.blobs, input: input)
        var sum = try RowGramSum(rows: rows.count)
        try await reader.forEachBlock(
            ofColumns: operation.chunkColumns, positionScales: shares, for: .rankUpdate, &scratch
        ) { columns, chunk in
            for first in stride(from: 0, to: columns.count, by: JointRows.productColumns) {
                let block = first..<min(first + JointRows.productColumns, columns.count)
                do throws(LinearAlgebraError) {
                    try sum.add(columns: block, of: chunk)
                } catch {
                    throw failure(error)
                }
                try input.progress.step()
            }
        }
        // The ones of a bias stand in every row.
        if rows.appendsOnes, case .captured(_, _, let divisor) = rows.source {
            sum.addToAll(shares.reduce(0) { $0 + $1 * $1 } / divisor)
        }
        let triangle = try PackedSymmetricMatrix<Float>(narrowing: sum.sum)
        return UnitResult(blobs: [try input.blobs.store(triangle, at: 0)])
    }

    /// The weight of each position as a share of the largest of its side.
    private func weightShares() throws -> [Double] {
        let numbers = input.lease.inputs.numbers
        guard let side = numbers.first, side.count == 2 else {
            throw UnitError.malformedLease("the weights of a side are no two numbers")
        }
        let weights = JointWeights(largestSquare: side[0])
        guard operation.weightListCount > 0 else {
            return [Double](repeating: weights.share(ofSquare: side[1]), count: rows.positions)
        }
        let squares = Array(numbers.dropFirst())
        guard squares.allSatisfy({ $0.count == rows.positions }) else {
            throw UnitError.malformedLease(
                "the squares of joint rows of \(rows.positions) positions have other lengths")
        }
        return JointWeights.means(squares).map(weights.share)
    }

    private func failure(_ error: LinearAlgebraError) -> any Error {
        guard case .squareOverflow = error else { return error }
        return UnitError.badInput(
            "\(input.lease.title): the rows of \"\(input.lease.subject)\" have products beyond fp32; expected magnitudes "
                + "whose products stay below 3.4e38. Scale the captures of all tasks down.")
    }
}
