import LinearAlgebra
import UnitOperations
import WireProtocol

extension RowSquaresOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await RowSquaresExecution(operation: self, input: input).run(&scratch)
    }
}

/// Sums the squares of captured joint rows by position, in fp64.
struct RowSquaresExecution {
    let operation: RowSquaresOperation
    let input: InputReader

    /// Bytes that are read at a time, in whole samples.
    private static let pieceBytes = 4 << 20

    /// Reads the rows once.
    ///
    /// - Throws: ``UnitError/nonFinite(_:)`` for NaN or infinity, or what reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let rows = operation.rows
        guard case .captured(let type, let slices, let divisor) = rows.source else {
            throw UnitError.malformedLease("the squares of \"\(input.lease.subject)\" are not of captured rows")
        }
        let samplesOfPiece = max(1, Self.pieceBytes / rows.rowElements.saturatingProduct(type.byteCount))
        let rowsOfPiece = samplesOfPiece * rows.positions
        var values = try Matrix<Float>(rows: samplesOfPiece, columns: rows.rowElements)
        var sums = [Double](repeating: rows.appendsOnes ? Double(rows.count) : 0, count: rows.positions)
        for slice in slices {
            for first in stride(from: 0, to: slice.rows, by: rowsOfPiece) {
                let count = min(rowsOfPiece, slice.rows - first)
                let rowBytes = UInt64(rows.columns) * UInt64(type.byteCount)
                try await input.read(
                    FileSlice(
                        file: slice.slice.file, offset: slice.slice.offset + UInt64(first) * rowBytes,
                        byteCount: UInt64(count) * rowBytes), into: &scratch.raw)
                if let element = type.firstNonFinite(in: scratch.raw.span.bytes) {
                    throw UnitError.nonFinite(
                        "\(input.path(of: slice.slice.file)): tensor \"\(input.lease.subject)\" holds NaN or infinity, "
                            + "first in row \(slice.firstRow + first + element / rows.columns); expected finite values. "
                            + "Capture the task again.")
                }
                try values.withMutablePrefix(count * rows.columns) { target throws in
                    try type.decode(scratch.raw.span.bytes, into: &target)
                }
                try values.withSpan { span throws in
                    for row in 0..<count {
                        let own = span.extracting(row * rows.columns..<(row + 1) * rows.columns)
                        sums[row % rows.positions] += try VectorOperations.dot(own, own)
                    }
                }
                try input.progress.step()
            }
        }
        return UnitResult(measurements: [.positionSquares: sums.map { $0 / divisor }])
    }
}
