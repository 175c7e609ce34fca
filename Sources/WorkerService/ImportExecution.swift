import JobPlan
import LinearAlgebra
import WireProtocol

/// A factor of a finished set → the form in which factors travel: a packed fp32 triangle.
struct ImportExecution {
    /// Bytes of rows read at a time: a file that streams over the network does not need a request for each row.
    private static let pieceBytes = 4 << 20

    let operation: ImportOperation
    let input: InputReader

    /// Reads some rows at a time; of a square only the lower triangle is kept.
    ///
    /// - Throws: ``UnitError/badInput(_:)`` for a factor that holds NaN or infinity, or what reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        try checkSlice()
        let writer = try input.blobs.beginWrite(byteCount: try PackedRanges.byteCount(dimension: operation.dimension))
        var row = try Matrix<Float>(rows: 1, columns: operation.dimension)
        var trace = 0.0
        var first = 0
        while first < operation.dimension {
            let rows = rows(from: first)
            let start = byteOffset(ofRow: rows.lowerBound)
            let slice = FileSlice(
                file: operation.slice.file, offset: operation.slice.offset + UInt64(start),
                byteCount: UInt64(byteOffset(ofRow: rows.upperBound) - start))
            try await input.read(slice, into: &scratch.raw)
            for index in rows {
                trace += try append(index, at: byteOffset(ofRow: index) - start, of: scratch.raw, &row, writer)
            }
            first = rows.upperBound
        }
        return UnitResult(blobs: [try input.blobs.finish(writer)], measurements: [.trace: [trace]])
    }

    /// Decodes a row's part of the lower triangle and appends it; gives the diagonal element.
    private func append(
        _ index: Int, at offset: Int, of raw: [UInt8], _ row: inout Matrix<Float>, _ writer: CacheWriter
    ) throws -> Double {
        let count = index + 1
        try row.withMutablePrefix(count) { span throws in
            try operation.elementType.decode(
                raw.span.bytes.extracting(offset..<offset + count * operation.elementType.byteCount), into: &span)
        }
        return try row.withSpan { span throws in
            let elements = span.extracting(first: count)
            for column in elements.indices where !elements[column].isFinite {
                throw UnitError.badInput(
                    "\(input.path(of: operation.slice.file)): \(input.lease.title): row \(index) holds NaN or infinity; "
                        + "expected finite values. Compute the factor again.")
            }
            try writer.append(elements.bytes)
            return Double(elements[index])
        }
    }

    /// Where a row begins within the tensor; for the row behind the last, where the tensor ends.
    private func byteOffset(ofRow row: Int) -> Int {
        let elements = operation.isPacked ? PackedTriangle.offset(ofRow: row) : row * operation.dimension
        return elements * operation.elementType.byteCount
    }

    /// The rows that are read together: at least one, else as many as the piece takes.
    private func rows(from first: Int) -> Range<Int> {
        var end = first + 1
        while end < operation.dimension, byteOffset(ofRow: end + 1) - byteOffset(ofRow: first) <= Self.pieceBytes {
            end += 1
        }
        return first..<end
    }

    private func checkSlice() throws {
        // The triangle's size is checked first: with it, that of the square cannot overflow.
        _ = try PackedTriangle.elementCount(dimension: operation.dimension)
        guard operation.dimension > 0,
            operation.slice.byteCount == UInt64(byteOffset(ofRow: operation.dimension))
        else {
            throw UnitError.malformedLease(
                "factor \"\(operation.name)\" has \(operation.slice.byteCount) bytes for dimension "
                    + "\(operation.dimension)")
        }
    }
}
