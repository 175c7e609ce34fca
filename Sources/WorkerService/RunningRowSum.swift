import LinearAlgebra
import UnitOperations
import ZeroMQ

/// One sum of rows that arrive.
///
/// Rows wait in a chunk until it is full. So the chunk's borders are counted from the first row of the sum, and the cut
/// of rows into messages changes no bit.
final class RunningRowSum {
    let shape: RowSumShape
    /// The tensor that the sum is, for messages.
    let subject: String
    /// Empty before the first row and after the last.
    private var chunk: Matrix<Float>
    private var waitingRows = 0
    /// The sum of the chunks so far, once there is one.
    private var paused: (any PausedFactorSum)?
    private var finished: PackedSymmetricMatrix<Double>?

    /// Begins an empty sum, which takes no memory until rows come.
    init(_ shape: RowSumShape, subject: String) throws {
        self.shape = shape
        self.subject = subject
        chunk = try Matrix(rows: 0, columns: 0)
    }

    /// Adds whole rows.
    ///
    /// - Parameters:
    ///   - rows: `[r, columns]` as little-endian elements.
    ///   - type: The type of the elements.
    ///   - accumulator: The lane's, without a factor; afterwards too.
    ///   - kernels: Takes the time of the products.
    /// - Returns: The number of rows.
    /// - Throws: ``MalformedRowSumOrder``, or what the accumulator or short memory throws; the sum is then void.
    func add(
        _ rows: Frame, of type: ElementType, with accumulator: inout any FactorAccumulator & ~Copyable,
        _ kernels: inout KernelNotes
    ) throws -> Int {
        guard finished == nil else { throw MalformedRowSumOrder("rows came for a finished sum") }
        guard type != .f64 else { throw MalformedRowSumOrder("rows are \(type.rawValue); expected F32, BF16 or F16") }
        let rowBytes = shape.columns * type.byteCount
        guard rows.byteCount.isMultiple(of: rowBytes) else {
            throw MalformedRowSumOrder("\(rows.byteCount) bytes are no whole rows of \(rowBytes) bytes")
        }
        let count = rows.byteCount / rowBytes
        var next = 0
        while next < count {
            if chunk.rowCount == 0 { chunk = try Matrix(rows: shape.chunkRows, columns: shape.columns) }
            let piece = next..<min(count, next + chunk.rowCount - waitingRows)
            try rows.withBytes { bytes throws in
                try wait(
                    bytes.extracting(piece.lowerBound * rowBytes..<piece.upperBound * rowBytes), of: type,
                    rowCount: piece.count)
            }
            next = piece.upperBound
            if waitingRows == chunk.rowCount {
                try multiply(with: &accumulator, &kernels)
                paused = try accumulator.pause()
            }
        }
        return count
    }

    /// Adds the last rows, and keeps nothing but the sum; zeros without rows.
    ///
    /// - Throws: As ``add(_:of:with:_:)``.
    func finish(with accumulator: inout any FactorAccumulator & ~Copyable, _ kernels: inout KernelNotes) throws {
        guard finished == nil else { throw MalformedRowSumOrder("a finished sum is finished again") }
        try multiply(with: &accumulator, &kernels)
        chunk = try Matrix(rows: 0, columns: 0)
        finished = .some(try accumulator.finishPartial())
    }

    /// Copies bytes of the finished sum.
    ///
    /// - Throws: ``MalformedRowSumOrder`` for bytes that the sum does not have, or before it is finished.
    func bytes(at offset: UInt64, count: Int) throws -> Frame {
        guard let frame = try finished?.withBytes({ bytes throws in try Self.copy(bytes, at: offset, count: count) })
        else { throw MalformedRowSumOrder("bytes are wanted of a sum that is not finished") }
        return frame
    }

    private static func copy(_ bytes: RawSpan, at offset: UInt64, count: Int) throws(MalformedRowSumOrder) -> Frame {
        guard let start = Int(exactly: offset), count >= 0, start <= bytes.byteCount, count <= bytes.byteCount - start
        else {
            throw MalformedRowSumOrder("\(count) bytes are wanted at \(offset) of a sum of \(bytes.byteCount)")
        }
        return Frame(copying: bytes.extracting(start..<start + count))
    }

    /// Puts rows behind those that wait.
    private func wait(_ bytes: RawSpan, of type: ElementType, rowCount: Int) throws {
        let elements = waitingRows * shape.columns..<(waitingRows + rowCount) * shape.columns
        try chunk.withMutableSpan { span throws in
            var target = span._mutatingExtracting(elements)
            try type.decode(bytes, into: &target)
        }
        waitingRows += rowCount
    }

    /// Adds the waiting rows to the sum, which is then the accumulator's.
    private func multiply(
        with accumulator: inout any FactorAccumulator & ~Copyable, _ kernels: inout KernelNotes
    ) throws {
        if let paused {
            try accumulator.resume(paused)
            self.paused = nil
        } else {
            try accumulator.begin(FactorShape(columnCount: shape.columns, appendsOne: shape.appendsOne))
        }
        guard waitingRows > 0 else { return }
        let start = ContinuousClock.now
        try accumulator.add(rows: 0..<waitingRows, of: chunk)
        waitingRows = 0
        kernels.note(.rankUpdate, since: start)
    }
}
