import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol
import ZeroMQ

extension FactorOperation: ExecutableOperation {
    static var reusesScratch: Bool { true }

    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await FactorExecution(operation: self, input: input).run(&scratch)
    }
}

/// Computes a Kronecker factor from rows; a job spends most of its time in these units.
struct FactorExecution {
    let operation: FactorOperation
    let input: InputReader

    /// Reads the rows chunk by chunk and sums their outer products.
    ///
    /// - Throws: ``UnitError/badInput(_:)`` for rows that hold NaN or infinity, or what reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        var sum = try scratch.takeAccumulator()
        try sum.begin(
            FactorShape(
                columnCount: operation.columns, appendsOne: operation.appendsOnes, reduction: operation.reduction))
        var chunk = try scratch.takeChunk(rows: min(operation.chunkRows, operation.rows), columns: operation.columns)
        let rows = operation.rows
        for first in stride(from: 0, to: rows, by: operation.chunkRows) {
            let range = first..<min(first + operation.chunkRows, rows)
            let ahead = range.upperBound..<min(range.upperBound + operation.chunkRows, rows)
            try await fill(&chunk, range, &scratch.raw)
            for piece in pieces(of: ahead) { input.prefetch(piece.slice) }
            let start = ContinuousClock.now
            do { try sum.add(rows: 0..<range.count, of: chunk) } catch { throw located(error) }
            scratch.kernels.note(.rankUpdate, since: start)
            // A unit that is no longer wanted stops here.
            try input.progress.step()
        }
        scratch.giveBackChunk(chunk)
        guard let divisor = operation.divisor else {
            let partial: PackedSymmetricMatrix<Double>
            do { partial = try sum.finishPartial() } catch { throw located(error) }
            scratch.giveBackAccumulator(sum)
            return UnitResult(blobs: [try partial.withBytes { bytes throws in try input.blobs.store(bytes) }])
        }
        let factor: PackedSymmetricMatrix<Float>
        do { factor = try sum.finish(divisor: divisor) } catch { throw located(error) }
        scratch.giveBackAccumulator(sum)
        return UnitResult(
            blobs: [try factor.withBytes { bytes throws in try input.blobs.store(bytes) }],
            measurements: [.trace: [factor.trace]])
    }

    /// The slices that hold a range of the operation's rows.
    private func pieces(of range: Range<Int>) -> [RowSlice] {
        guard !range.isEmpty else { return [] }
        return operation.rowSlices.cut(to: range, rowBytes: operation.rowBytes)
    }

    /// Fills the first rows of the chunk; f32 rows are read straight into the matrix.
    private func fill(_ chunk: inout Matrix<Float>, _ range: Range<Int>, _ raw: inout [UInt8]) async throws {
        var row = 0
        for piece in pieces(of: range) {
            if operation.elementType == .f32 {
                try await input.read(piece.slice, into: &chunk, at: row * operation.columns * 4)
            } else {
                try await input.read(piece.slice, into: &raw)
                let elements = row * operation.columns..<(row + piece.rows) * operation.columns
                try chunk.withMutableSpan { span throws in
                    var target = span._mutatingExtracting(elements)
                    try operation.elementType.decode(raw.span.bytes, into: &target)
                }
            }
            row += piece.rows
        }
    }

    /// Adds the file, the tensor and the row to an error of the rows; what a backend lacks stays as it is.
    private func located(_ error: any Error) -> any Error {
        guard let flaw = error as? KroneckerFactorsError, flaw.isBadInput else { return error }
        switch flaw {
        case .nonFinite(let row):
            let (path, rowInFile) = place(ofRow: row)
            return UnitError.nonFinite(
                "\(path): tensor \"\(input.lease.subject)\" holds NaN or infinity, first in row \(rowInFile); expected finite "
                    + "values. Capture the task again.")
        case .squareOverflow(let row, let column):
            let (path, rowInFile) = place(ofRow: row)
            return UnitError.badInput(
                "\(path): tensor \"\(input.lease.subject)\": the squares of column \(column) overflow float32, the largest "
                    + "value stands in row \(rowInFile). Scale the capture down.")
        case .squaresVanish(let rows, let largest):
            return UnitError.badInput(
                "\(place(ofRow: 0).path): tensor \"\(input.lease.subject)\": the squares of all \(rows) rows vanish in "
                    + "float32: the largest magnitude is \(largest); expected one above 1e-19. Scale the captures up, those "
                    + "of all tasks by one factor: \(1 / largest) makes the largest 1.")
        default:
            return UnitError.badInput("\(place(ofRow: 0).path): tensor \"\(input.lease.subject)\": \(flaw)")
        }
    }

    /// The file that holds a row of the operation, and the row's number in the file's own tensor.
    private func place(ofRow row: Int) -> (path: String, row: Int) {
        var first = 0
        for slice in operation.rowSlices {
            if row < first + slice.rows {
                return (input.path(of: slice.slice.file), slice.firstRow + row - first)
            }
            first += slice.rows
        }
        return (operation.rowSlices.last.map { input.path(of: $0.slice.file) } ?? "capture", row)
    }
}
