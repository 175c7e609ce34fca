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
        // The squares of a diagonal need no product, so no backend.
        var sum: any FactorAccumulator & ~Copyable =
            operation.isDiagonal ? DiagonalFactorAccumulator() : try scratch.takeAccumulator()
        try sum.begin(
            FactorShape(
                columnCount: operation.columns, appendsOne: operation.appendsOnes, reduction: operation.reduction))
        var chunk = try scratch.takeChunk(rows: min(operation.chunkRows, operation.rows), columns: operation.columns)
        var squares = 0.0
        if let reduction = operation.sampleReduction {
            squares = try await addSamples(reduction, to: &sum, &chunk, &scratch)
        } else {
            for first in stride(from: 0, to: operation.rows, by: operation.chunkRows) {
                let range = first..<min(first + operation.chunkRows, operation.rows)
                try await read(range, into: &chunk, &scratch.raw)
                let start = ContinuousClock.now
                do { try sum.add(rows: 0..<range.count, of: chunk) } catch { throw located(error) }
                if operation.sumsRows { squares += try Self.squares(of: range.count, chunk) }
                scratch.kernels.note(.rankUpdate, since: start)
                // A unit that is no longer wanted stops here.
                try input.progress.step()
            }
        }
        scratch.giveBackChunk(chunk)
        let measured: [MeasurementName: [Double]] = operation.sumsRows ? [.rowSquares: [squares]] : [:]
        guard let divisor = operation.divisor else {
            let partial: PackedSymmetricMatrix<Double>
            do { partial = try sum.finishPartial() } catch { throw located(error) }
            if !operation.isDiagonal { scratch.giveBackAccumulator(sum) }
            return UnitResult(
                blobs: [try partial.withBytes { bytes throws in try input.blobs.store(bytes) }], measurements: measured)
        }
        let factor: PackedSymmetricMatrix<Float>
        do { factor = try sum.finish(divisor: divisor) } catch { throw located(error) }
        if !operation.isDiagonal { scratch.giveBackAccumulator(sum) }
        return UnitResult(
            blobs: [try input.blobs.store(factor, at: 0)],
            measurements: measured.merging([.trace: [factor.trace]]) { $1 })
    }

    /// Σ‖g‖² of the first rows of a chunk.
    private static func squares(of rows: Int, _ chunk: borrowing Matrix<Float>) throws -> Double {
        let columns = chunk.columnCount
        return try chunk.withSpan { elements throws in
            var sum = 0.0
            for row in 0..<rows {
                let line = elements.extracting(row * columns..<(row + 1) * columns)
                sum += try VectorOperations.dot(line, line)
            }
            return sum
        }
    }

    /// Reads a chunk, and asks for the next one.
    private func read(_ range: Range<Int>, into chunk: inout Matrix<Float>, _ raw: inout [UInt8]) async throws {
        let ahead = range.upperBound..<min(range.upperBound + operation.chunkRows, operation.rows)
        try await fill(&chunk, range, &raw)
        for piece in pieces(of: ahead) { input.prefetch(piece.slice) }
    }

    // MARK: - Samples with different numbers of rows

    /// Makes one row of each sample's rows, and adds these.
    ///
    /// A chunk ends with a sample, unless one sample fills it.
    ///
    /// - Returns: Σ‖g‖² of all rows, if the rows of a sample are summed.
    private func addSamples(
        _ reduction: SampleReduction, to sum: inout any FactorAccumulator & ~Copyable, _ chunk: inout Matrix<Float>,
        _ scratch: inout LaneScratch
    ) async throws -> Double {
        let borders = SampleBorders(rowSlices: operation.rowSlices, numbers: reduction.numbers, input: input)
        let rows = operation.rows
        var samples = try SampleRowSums(
            capacity: min(operation.chunkRows, rows), columnCount: operation.columns, isMean: reduction.isMean)
        var squares = 0.0
        var first = 0
        while first < rows {
            let end = min(first + operation.chunkRows, rows)
            let starts = try await borders.starts(in: first..<min(end + 1, rows), &scratch.raw)
            let isWhole = end == rows || starts.last == end
            let cut = isWhole ? end : starts.last.flatMap { $0 > first ? $0 : nil } ?? end
            let leavesOpen = !isWhole && cut == end
            let range = first..<cut
            try await read(range, into: &chunk, &scratch.raw)
            let start = ContinuousClock.now
            let ends = starts.filter { $0 > first && $0 < cut } + [cut]
            do {
                var row = first
                for end in ends {
                    let endsSample = end < cut || !leavesOpen
                    try samples.add(rows: row - first..<end - first, of: chunk, endsSample: endsSample)
                    row = end
                }
                // Later the rows of an open sample are no longer here to be named.
                if leavesOpen, let row = try chunk.firstNonFiniteRow(in: 0..<range.count) {
                    throw KroneckerFactorsError.nonFinite(row: row)
                }
                if samples.count > 0 { try sum.add(rows: 0..<samples.count, of: samples.rows) }
            } catch {
                throw located(try inRows(error, range, of: chunk))
            }
            samples.removeAll()
            if operation.sumsRows { squares += try Self.squares(of: range.count, chunk) }
            scratch.kernels.note(.rankUpdate, since: start)
            try input.progress.step()
            first = cut
        }
        return squares
    }

    /// Translates an error of reduced rows into one of the chunk's rows.
    private func inRows(
        _ error: any Error, _ range: Range<Int>, of chunk: borrowing Matrix<Float>
    ) throws -> any Error {
        switch error as? KroneckerFactorsError {
        case .nonFinite:
            // Finite rows with a non-finite reduced row have a sum beyond fp32.
            if let row = try chunk.firstNonFiniteRow(in: 0..<range.count) {
                return KroneckerFactorsError.nonFinite(row: range.lowerBound + row)
            }
            return KroneckerFactorsError.squareOverflow(row: range.lowerBound, column: 0)
        case .squareOverflow(_, let column):
            return KroneckerFactorsError.squareOverflow(row: range.lowerBound, column: column)
        default: return error
        }
    }

    // MARK: - Rows

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
