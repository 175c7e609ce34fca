import Identifiers
import LinearAlgebra
import UnitOperations
import WireProtocol

extension RowCombinationOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await RowCombinationExecution(operation: self, input: input).run(&scratch)
    }
}

/// Combines joint rows by eigenvectors, block of columns by block of columns.
struct RowCombinationExecution {
    let operation: RowCombinationOperation
    let input: InputReader

    private var rows: JointRows { operation.rows }

    /// Reads the rows once; the pseudo-rows are in memory until they are stored.
    ///
    /// - Throws: ``UnitError/badInput(_:)`` for pseudo-rows that fp32 cannot hold, or what reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let blobs = input.lease.inputs.blobs
        let vectors = try await eigenvectors(blobs[0])
        let reader = try await JointRowReader(rows, blobs: Array(blobs.dropFirst()), input: input)
        var result = try Matrix<Float>(rows: operation.rank, columns: rows.positions * rows.width)
        try await reader.forEachBlock(
            ofColumns: operation.chunkColumns, positionScales: nil, for: .product, &scratch
        ) { columns, chunk in
            var product = try Matrix<Float>(rows: operation.rank, columns: columns.count)
            try product.addProduct(vectors, .none, chunk)
            place(product, columns, in: &result)
            try input.progress.step()
        }
        appendOnes(vectors, to: &result)
        let isFinite = try result.withBytes { bytes throws in ElementType.f32.firstNonFinite(in: bytes) == nil }
        guard isFinite else {
            throw UnitError.badInput(
                "\(input.lease.title): the pseudo-rows of \"\(input.lease.subject)\" are beyond fp32; expected magnitudes "
                    + "below 3.4e38. Scale the captures of all tasks down.")
        }
        let blob = try result.withBytes { bytes throws in try input.blobs.store(bytes) }
        return UnitResult(blobs: [blob])
    }

    private func eigenvectors(_ blob: BlobReference) async throws -> Matrix<Float> {
        var vectors = try Matrix<Float>(rows: operation.rank, columns: rows.count)
        guard blob.byteCount == UInt64(4 * vectors.elementCount) else {
            throw UnitError.malformedLease("blob \(blob.digest) is no \(operation.rank) eigenvectors of \(rows.count)")
        }
        try await input.blobs.prepare([blob])
        try vectors.withMutableBytes { bytes throws in try input.blobs.read(blob.digest, at: 0, into: &bytes) }
        return vectors
    }

    /// Copies combined columns to their positions, which are wider if they have the one of a bias.
    private func place(_ product: borrowing Matrix<Float>, _ columns: Range<Int>, in result: inout Matrix<Float>) {
        product.withSpan { source in
            result.withMutableSpan { target in
                for row in 0..<operation.rank {
                    let (from, to) = (row * columns.count, row * rows.positions * rows.width)
                    for column in columns {
                        let place = column / rows.columns * rows.width + column % rows.columns
                        target[to + place] = source[from + column - columns.lowerBound]
                    }
                }
            }
        }
    }

    /// The combinations of the ones of a bias, which are equal at every position.
    private func appendOnes(_ vectors: borrowing Matrix<Float>, to result: inout Matrix<Float>) {
        guard rows.appendsOnes, case .captured(_, _, let divisor) = rows.source else { return }
        for row in 0..<operation.rank {
            let sum = (0..<rows.count).reduce(0.0) { $0 + Double(vectors[row, $1]) }
            for position in 0..<rows.positions {
                result[row, position * rows.width + rows.columns] = Float(sum / divisor.squareRoot())
            }
        }
    }
}
