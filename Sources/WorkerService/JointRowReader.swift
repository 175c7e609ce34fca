import Identifiers
import LinearAlgebra
import UnitOperations
import WireProtocol

/// Reads blocks of columns of joint rows, from captures or from blobs.
struct JointRowReader {
    let rows: JointRows
    let input: InputReader
    /// The blobs with the rows of tasks, one for each part.
    let blobs: [BlobReference]

    /// - Parameters:
    ///   - rows: The rows.
    ///   - blobs: Those of tasks' rows; none for captured rows.
    ///   - input: Where they are.
    /// - Throws: ``UnitError/malformedLease(_:)`` for blobs of other sizes, or what fetching them throws.
    init(_ rows: JointRows, blobs: [BlobReference], input: InputReader) async throws {
        (self.rows, self.blobs, self.input) = (rows, blobs, input)
        guard case .parts(let parts) = rows.source else { return }
        for (part, blob) in zip(parts, blobs) {
            let expected = UInt64(part.rows).saturatingProduct(UInt64(rows.rowElements)).saturatingProduct(4)
            guard blob.byteCount == expected else {
                throw UnitError.malformedLease(
                    "blob \(blob.digest) has \(blob.byteCount) bytes; \(part.rows) joint rows have \(expected)")
            }
        }
        try await input.blobs.prepare(blobs)
    }

    /// Reads all rows, block of columns by block of columns, in order.
    ///
    /// - Parameters:
    ///   - count: Columns of a block.
    ///   - positionScales: What each position is multiplied by beside the rows' own scale; `nil` for 1.
    ///   - kernel: What the body computes.
    ///   - scratch: Scratch, which notes the time of the body.
    ///   - body: Takes the columns, and the rows' elements in them.
    /// - Throws: What ``read(_:positionScales:into:_:)`` or the body throws.
    func forEachBlock(
        ofColumns count: Int, positionScales: [Double]?, for kernel: NumericKernel, _ scratch: inout LaneScratch,
        _ body: (Range<Int>, borrowing Matrix<Float>) throws -> Void
    ) async throws {
        for first in stride(from: 0, to: rows.rowElements, by: count) {
            let columns = first..<min(first + count, rows.rowElements)
            var block = try Matrix<Float>(rows: rows.count, columns: columns.count)
            try await read(columns, positionScales: positionScales, into: &block, &scratch.raw)
            let start = ContinuousClock.now
            try body(columns, block)
            scratch.kernels.note(kernel, since: start)
        }
    }

    /// Fills a matrix with some columns of all rows.
    ///
    /// - Parameters:
    ///   - columns: Stored columns of a row, `positions` times `columns` in number.
    ///   - positionScales: What each position is multiplied by beside the rows' own scale; `nil` for 1.
    ///   - chunk: `[rows, columns]`.
    ///   - raw: Scratch.
    /// - Throws: ``UnitError/nonFinite(_:)`` for captured NaN or infinity, or what reading throws.
    private func read(
        _ columns: Range<Int>, positionScales: [Double]?, into chunk: inout Matrix<Float>, _ raw: inout [UInt8]
    ) async throws {
        switch rows.source {
        case .captured(let type, let slices, let divisor):
            let scales = scales(positionScales, times: 1 / divisor.squareRoot())
            var row = 0
            for slice in slices {
                for sample in 0..<slice.rows / rows.positions {
                    try await read(columns, ofSample: sample, in: slice, type, intoRow: row, of: &chunk, &raw)
                    scale(row: row, of: &chunk, by: scales, columns)
                    row += 1
                }
            }
        case .parts(let parts):
            var row = 0
            for (part, blob) in zip(parts, blobs) {
                let scales = scales(positionScales, times: part.scale)
                for own in 0..<part.rows {
                    try chunk.withMutableBytes { bytes throws in
                        let start = 4 * row * columns.count
                        var target = bytes._mutatingExtracting(start..<start + 4 * columns.count)
                        try input.blobs.read(
                            blob.digest, at: 4 * (own * rows.rowElements + columns.lowerBound), into: &target)
                    }
                    scale(row: row, of: &chunk, by: scales, columns)
                    row += 1
                }
            }
        }
    }

    private func read(
        _ columns: Range<Int>, ofSample sample: Int, in slice: RowSlice, _ type: ElementType, intoRow row: Int,
        of chunk: inout Matrix<Float>, _ raw: inout [UInt8]
    ) async throws {
        let first = sample * rows.rowElements + columns.lowerBound
        try await input.read(
            FileSlice(
                file: slice.slice.file, offset: slice.slice.offset + UInt64(first) * UInt64(type.byteCount),
                byteCount: UInt64(columns.count) * UInt64(type.byteCount)), into: &raw)
        if let element = type.firstNonFinite(in: raw.span.bytes) {
            throw UnitError.nonFinite(
                "\(input.path(of: slice.slice.file)): tensor \"\(input.lease.subject)\" holds NaN or infinity, first in "
                    + "row \(slice.firstRow + (first + element) / rows.columns); expected finite values. Capture the task "
                    + "again.")
        }
        try chunk.withMutableSpan { span throws in
            let start = row * columns.count
            var target = span._mutatingExtracting(start..<start + columns.count)
            try type.decode(raw.span.bytes, into: &target)
        }
    }

    /// One factor for each position.
    private func scales(_ positionScales: [Double]?, times scale: Double) -> [Float] {
        (0..<rows.positions).map { Float(scale * (positionScales?[$0] ?? 1)) }
    }

    private func scale(row: Int, of chunk: inout Matrix<Float>, by scales: [Float], _ columns: Range<Int>) {
        chunk.withMutableSpan { span in
            let start = row * columns.count
            for position in columns.lowerBound / rows.columns...(columns.upperBound - 1) / rows.columns {
                let own = (position * rows.columns..<(position + 1) * rows.columns).clamped(to: columns)
                var target = span._mutatingExtracting(
                    start + own.lowerBound - columns.lowerBound..<start + own.upperBound - columns.lowerBound)
                VectorOperations.multiply(&target, by: scales[position])
            }
        }
    }
}
