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
        guard !operation.givesDouble else { return try await runInDouble(&scratch) }
        // The squares of a diagonal need no product, so no backend.
        var sum: any FactorAccumulator & ~Copyable =
            operation.isDiagonal ? DiagonalFactorAccumulator() : try scratch.takeAccumulator()
        try sum.begin(shape)
        let squares = try await addRows(&scratch) { rows, chunk throws in try sum.add(rows: rows, of: chunk) }
        guard let divisor = operation.divisor else {
            let partial: PackedSymmetricMatrix<Double>
            do { partial = try sum.finishPartial() } catch { throw located(error) }
            if !operation.isDiagonal { scratch.giveBackAccumulator(sum) }
            return try store(partial: partial, squares)
        }
        let factor: PackedSymmetricMatrix<Float>
        do { factor = try sum.finish(divisor: divisor) } catch { throw located(error) }
        if !operation.isDiagonal { scratch.giveBackAccumulator(sum) }
        return UnitResult(
            blobs: [try input.blobs.store(factor, at: 0)],
            measurements: measured(squares).merging([.trace: [factor.trace]]) { $1 })
    }

    private var shape: FactorShape {
        FactorShape(columnCount: operation.columns, appendsOne: operation.appendsOnes, reduction: operation.reduction)
    }

    private func measured(_ squares: Double) -> [MeasurementName: [Double]] {
        operation.sumsRows ? [.rowSquares: [squares]] : [:]
    }

    private func store(
        partial: borrowing PackedSymmetricMatrix<Double>, _ squares: Double
    ) throws -> UnitResult {
        UnitResult(
            blobs: [try partial.withBytes { bytes throws in try input.blobs.store(bytes) }],
            measurements: measured(squares))
    }

    // MARK: - In fp64

    /// The same with products in fp64; a factor is given in both precisions.
    private func runInDouble(_ scratch: inout LaneScratch) async throws -> UnitResult {
        guard !operation.isDiagonal else {
            var sum = DiagonalFactorAccumulator()
            try sum.begin(shape)
            let squares = try await addRows(&scratch) { rows, chunk throws in try sum.add(rows: rows, of: chunk) }
            return try finish(try sum.finishPartial(), squares)
        }
        var sum = try scratch.takeDoubleAccumulator()
        try sum.begin(shape)
        let squares =
            if let reduction = operation.sampleReduction {
                try await addSamples(reduction, in: Double.self, &scratch) { rows, reduced throws in
                    try sum.add(rows: rows, of: reduced)
                }
            } else {
                try await addChunks(&scratch) { rows, chunk throws in try sum.add(rows: rows, of: chunk) }
            }
        let total: PackedSymmetricMatrix<Double>
        do { total = try sum.finish() } catch { throw located(error) }
        scratch.giveBackAccumulator(sum)
        return try finish(total, squares)
    }

    /// Stores a sum as it is, or divided in both precisions.
    private func finish(_ sum: borrowing PackedSymmetricMatrix<Double>, _ squares: Double) throws -> UnitResult {
        guard let divisor = operation.divisor else { return try store(partial: sum, squares) }
        var writer = try FactorWriter(
            operation.shape, capacity: PackedRanges.elements, divisor: divisor, givesDouble: true,
            place: "\(place(ofRow: 0).path): tensor \"\(input.lease.subject)\": ", blobs: input.blobs)
        try writer.append(sum)
        var result = try writer.finish()
        result.measurements.merge(measured(squares)) { $1 }
        return result
    }

    // MARK: - Chunks

    /// Gives all rows, reduced by their sample numbers if they have any.
    ///
    /// - Returns: Σ‖g‖² of all rows, if the rows of a sample are summed.
    private func addRows(
        _ scratch: inout LaneScratch, add: (Range<Int>, borrowing Matrix<Float>) throws -> Void
    ) async throws -> Double {
        guard let reduction = operation.sampleReduction else { return try await addChunks(&scratch, add: add) }
        return try await addSamples(reduction, in: Float.self, &scratch, add: add)
    }

    private func addChunks(
        _ scratch: inout LaneScratch, add: (Range<Int>, borrowing Matrix<Float>) throws -> Void
    ) async throws -> Double {
        var chunk = try takeChunk(&scratch)
        var squares = 0.0
        for first in stride(from: 0, to: operation.rows, by: operation.chunkRows) {
            let range = first..<min(first + operation.chunkRows, operation.rows)
            try await read(range, into: &chunk, &scratch.raw)
            let start = ContinuousClock.now
            do { try add(0..<range.count, chunk) } catch { throw located(error) }
            if operation.sumsRows { squares += try Self.squares(of: range.count, chunk) }
            scratch.kernels.note(.rankUpdate, since: start)
            // A unit that is no longer wanted stops here.
            try input.progress.step()
        }
        scratch.giveBackChunk(chunk)
        return squares
    }

    private func takeChunk(_ scratch: inout LaneScratch) throws -> Matrix<Float> {
        try scratch.takeChunk(rows: min(operation.chunkRows, operation.rows), columns: operation.columns)
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

    /// Makes one row of each sample's rows, and gives these.
    ///
    /// A chunk ends with a sample, unless one sample fills it.
    ///
    /// - Returns: Σ‖g‖² of all rows, if the rows of a sample are summed.
    private func addSamples<Scalar: MatrixScalar>(
        _ reduction: SampleReduction, in precision: Scalar.Type, _ scratch: inout LaneScratch,
        add: (Range<Int>, borrowing Matrix<Scalar>) throws -> Void
    ) async throws -> Double {
        var chunk = try takeChunk(&scratch)
        let borders = SampleBorders(rowSlices: operation.rowSlices, numbers: reduction.numbers, input: input)
        let rows = operation.rows
        var samples = try SampleRowSums(
            capacity: min(operation.chunkRows, rows), columnCount: operation.columns, isMean: reduction.isMean,
            precision: precision)
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
                if samples.count > 0 { try add(0..<samples.count, samples.rows) }
            } catch {
                throw located(try inRows(error, range, of: chunk))
            }
            samples.removeAll()
            if operation.sumsRows { squares += try Self.squares(of: range.count, chunk) }
            scratch.kernels.note(.rankUpdate, since: start)
            try input.progress.step()
            first = cut
        }
        scratch.giveBackChunk(chunk)
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
