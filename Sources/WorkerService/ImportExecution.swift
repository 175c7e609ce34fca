import LinearAlgebra
import UnitOperations
import WireProtocol

extension ImportOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await ImportExecution(operation: self, input: input).run(&scratch)
    }
}

/// Converts a factor of a finished set to the form in which factors travel: a packed fp32 triangle, or a diagonal.
struct ImportExecution {
    /// Bytes of rows that are read at a time, so that a file over the network does not need a request for each row.
    private static let pieceBytes = 4 << 20

    let operation: ImportOperation
    let input: InputReader

    /// Reads some rows at a time, both triangles of a square, and checks that they are a factor's.
    ///
    /// - Throws: ``UnitError/nonFinite(_:)`` or ``UnitError/badInput(_:)`` for values that are not a factor's, or what
    ///   reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        guard !operation.shape.isDiagonal else { return try await runDiagonal(&scratch) }
        try checkSlice()
        let writer = try input.blobs.beginWrite(byteCount: try PackedRanges.byteCount(of: operation.shape))
        var square = try Matrix<Double>(rows: operation.dimension, columns: operation.dimension)
        var row = try Matrix<Float>(rows: 1, columns: operation.dimension)
        var (trace, largest, isZero) = (0.0, Float(0), true)
        var first = 0
        while first < operation.dimension {
            let rows = rows(from: first)
            let start = byteOffset(ofRow: rows.lowerBound)
            let slice = FileSlice(
                file: operation.slice.file, offset: operation.slice.offset + UInt64(start),
                byteCount: UInt64(byteOffset(ofRow: rows.upperBound) - start))
            try await input.read(slice, into: &scratch.raw)
            for index in rows {
                try decode(index, at: byteOffset(ofRow: index) - start, of: scratch.raw, into: &square)
                let diagonal = try append(index, of: square, &row, writer)
                trace += Double(diagonal)
                if diagonal > largest { largest = diagonal }
                isZero = isZero && square[index, index] == 0
            }
            first = rows.upperBound
        }
        let start = ContinuousClock.now
        if let flaw = try SemidefiniteCheck.flaw(in: square, readsBothTriangles: !operation.isPacked) {
            throw error(flaw)
        }
        scratch.kernels.note(.solve, since: start)
        guard isZero || largest >= Float.leastNormalMagnitude else {
            throw UnitError.badInput(
                "\(place)vanishes in fp32: its largest diagonal element is \(largest). Scale the factors of all tasks up."
            )
        }
        return UnitResult(blobs: [try input.blobs.finish(writer)], measurements: [.trace: [trace]])
    }

    private func runDiagonal(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let sum = DiagonalSum(
            dimension: operation.dimension, elementType: operation.elementType, slices: [operation.slice], input: input)
        let diagonal = try await sum.total(flawError: { flaw, _ in error(flaw) }, &scratch.raw)
        return try sum.store(diagonal, dividedBy: 1, place: place, scaled: "the factors of all tasks")
    }

    /// Decodes a row: a square's whole row, or a triangle's row up to the diagonal.
    private func decode(
        _ index: Int, at offset: Int, of raw: [UInt8], into square: inout Matrix<Double>
    ) throws {
        let count = operation.isPacked ? index + 1 : operation.dimension
        let start = index * operation.dimension
        try square.withMutableSpan { span throws in
            var target = span._mutatingExtracting(start..<start + count)
            try operation.elementType.decode(
                raw.span.bytes.extracting(offset..<offset + count * operation.elementType.byteCount), into: &target)
        }
    }

    /// Appends a row's part of the lower triangle in fp32, and returns the diagonal element.
    private func append(
        _ index: Int, of square: borrowing Matrix<Double>, _ row: inout Matrix<Float>, _ writer: CacheWriter
    ) throws -> Float {
        let (count, start) = (index + 1, index * operation.dimension)
        let overflow: Int? = square.withSpan { square in
            row.withMutablePrefix(count) { row in
                var overflow: Int?
                for column in 0..<count {
                    let value = square[start + column]
                    row[column] = Float(value)
                    // NaN and infinity themselves are reported with the matrix's other faults.
                    if !row[column].isFinite, value.isFinite { overflow = column }
                }
                return overflow
            }
        }
        if let overflow {
            throw UnitError.badInput(
                "\(place)the element (\(index), \(overflow)) is beyond fp32, in which factors are stored. Scale the "
                    + "factors of all tasks down.")
        }
        return try row.withSpan { span throws in
            try writer.append(span.extracting(first: count).bytes)
            return span[index]
        }
    }

    private var place: String { "\(input.path(of: operation.slice.file)): \(input.lease.title): " }

    private func error(_ flaw: FactorFlaw) -> UnitError {
        if case .nonFinite = flaw { return .nonFinite(place + flaw.description) }
        return .badInput(place + flaw.description)
    }

    /// The offset of a row in the tensor; for the row after the last, it is the tensor's end.
    private func byteOffset(ofRow row: Int) -> Int {
        let elements = operation.isPacked ? PackedTriangle.offset(ofRow: row) : row * operation.dimension
        return elements * operation.elementType.byteCount
    }

    /// The rows that are read together: as many as the piece holds, and at least one.
    private func rows(from first: Int) -> Range<Int> {
        var end = first + 1
        while end < operation.dimension, byteOffset(ofRow: end + 1) - byteOffset(ofRow: first) <= Self.pieceBytes {
            end += 1
        }
        return first..<end
    }

    private func checkSlice() throws {
        // The triangle's size is checked first. If it fits, the square's size cannot overflow.
        _ = try PackedTriangle.elementCount(dimension: operation.dimension)
        guard operation.dimension > 0,
            operation.slice.byteCount == UInt64(byteOffset(ofRow: operation.dimension))
        else {
            throw UnitError.malformedLease(
                "factor \"\(input.lease.subject)\" has \(operation.slice.byteCount) bytes for dimension "
                    + "\(operation.dimension)")
        }
    }
}
