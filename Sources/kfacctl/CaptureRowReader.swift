import Console
import JobFiles
import LinearAlgebra
import Messaging
import Safetensors
import WireProtocol
import ZeroMQ

/// Reads the rows of captures, sum by sum, in messages of at most a chunk.
///
/// A reader goes through them once; each attempt to send them has its own.
actor CaptureRowReader {
    private let captures: CaptureSet
    private let sums: [CaptureSums.Sum]
    private var position = 0
    /// The next row of the current sum.
    private var row = 0
    private var reduced: ReducedRows?

    init(_ captures: CaptureSet, _ sums: [CaptureSums.Sum]) {
        self.captures = captures
        self.sums = sums
    }

    /// The next rows; nil after the last ones.
    ///
    /// - Throws: ``CommandFailure`` for rows that cannot be used.
    func next() throws -> RowBatch? {
        do {
            while position < sums.count {
                if let batch = try nextOfSum(sums[position]) { return batch }
                position += 1
                row = 0
                reduced = nil
            }
            return nil
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(.failed, "\(error)")
        }
    }

    private func nextOfSum(_ sum: CaptureSums.Sum) throws -> RowBatch? {
        switch sum.rows {
        case .none: return nil
        case .captured(let tensor, let type): return try nextCaptured(tensor, type)
        case .reduced(let tensor, let lengths, let isMean):
            let rows = try reduced ?? ReducedRows(captures, tensor, lengths: lengths, isMean: isMean)
            reduced = rows
            guard let (rowCount, bytes) = try rows.next() else { return nil }
            return RowBatch(sum: position, elementType: .f32, rowCount: rowCount, bytes: bytes)
        case .embedding(let tensor, let type, let lengths):
            guard row == 0 else { return nil }
            row = 1
            let elements = try captures.embeddingRow(of: tensor, type, indexCount: sum.columns, lengths: lengths)
            let bytes = Frame(copying: elements.span.bytes)
            return RowBatch(sum: position, elementType: .f32, rowCount: 1, bytes: bytes)
        }
    }

    private func nextCaptured(_ tensor: CapturedTensor, _ type: ElementType) throws -> RowBatch? {
        let count = min(WireLimits.chunkBytes / tensor.rowByteCount, tensor.rowCount - row)
        guard count > 0 else { return nil }
        var buffer = try PayloadBuffer(byteCount: count * tensor.rowByteCount)
        var offset = 0
        for part in try tensor.fileRows(of: row..<row + count) {
            let range = offset..<offset + part.byteRange.count
            try buffer.withMutableBytes { bytes throws in
                var target = bytes._mutatingExtracting(range)
                try captures.files[part.fileIndex].read(fromFileOffset: part.byteRange.lowerBound, into: &target)
            }
            offset = range.upperBound
        }
        row += count
        return RowBatch(sum: position, elementType: type, rowCount: count, bytes: Frame(buffer))
    }
}
