import Console
import JobFiles
import KroneckerFactors
import LinearAlgebra
import SystemPackage
import WireProtocol
import ZeroMQ

/// One row for each sample of a captured tensor: the mean or the sum of its rows, made as they are read.
///
/// Source: DESIGN section 2.1, `reduce`.
final class ReducedRows {
    /// Bytes of captured rows, as fp32, that are held at a time.
    private static let chunkBytes = 4 << 20

    private let captures: CaptureSet
    private let tensor: CapturedTensor
    /// The rows of each sample that is left.
    private var lengths: ArraySlice<Int>
    private var samples: SampleRowSums<Float>
    private let capacity: Int
    private var chunk: Matrix<Float>
    /// The rows that are in the chunk.
    private var loaded = 0..<0
    private var row = 0
    /// Rows of the first sample that were added already.
    private var openRows = 0

    /// Begins with the first row.
    ///
    /// - Throws: `KroneckerFactorsError` or `LinearAlgebraError` for short memory.
    init(_ captures: CaptureSet, _ tensor: CapturedTensor, lengths: [[Int]], isMean: Bool) throws {
        self.captures = captures
        self.tensor = tensor
        self.lengths = lengths.flatMap(\.self)[...]
        let rowBytes = tensor.columnCount * ElementType.f32.byteCount
        capacity = max(1, min(WireLimits.chunkBytes / rowBytes, self.lengths.count))
        samples = try SampleRowSums(capacity: capacity, columnCount: tensor.columnCount, isMean: isMean)
        chunk = try Matrix<Float>(
            rows: max(1, min(Self.chunkBytes / rowBytes, tensor.rowCount)), columns: tensor.columnCount)
    }

    /// The next reduced rows, F32; nil after the last one.
    ///
    /// - Throws: ``CommandFailure`` for rows that are not finite, or what reading throws.
    func next() throws -> (rowCount: Int, bytes: Frame)? {
        let firstRow = row - openRows
        while samples.count < capacity, let length = lengths.first {
            if row == loaded.upperBound { try load() }
            let count = min(length - openRows, loaded.upperBound - row)
            let start = row - loaded.lowerBound
            let endsSample = openRows + count == length
            try samples.add(rows: start..<start + count, of: chunk, endsSample: endsSample)
            row += count
            openRows = endsSample ? 0 : openRows + count
            if endsSample { lengths.removeFirst() }
        }
        guard samples.count > 0 else { return nil }
        if try samples.rows.firstNonFiniteRow(in: 0..<samples.count) != nil {
            throw CommandFailure(
                .badInput,
                "\(place(ofRow: firstRow)): the sum of a sample's rows from this one on overflows float32. Scale the "
                    + "capture down.")
        }
        let rowCount = samples.count
        let byteCount = rowCount * tensor.columnCount * ElementType.f32.byteCount
        let bytes = samples.rows.withBytes { Frame(copying: $0.extracting(first: byteCount)) }
        samples.removeAll()
        return (rowCount, bytes)
    }

    private func load() throws {
        loaded = row..<min(row + chunk.rowCount, tensor.rowCount)
        try captures.readRows(tensor, loaded, into: &chunk)
        guard let flaw = try chunk.firstNonFiniteRow(in: 0..<loaded.count) else { return }
        throw CommandFailure(
            .badInput,
            "\(place(ofRow: row + flaw)) holds NaN or infinity; expected finite values. Capture the task again.")
    }

    private func place(ofRow row: Int) -> String {
        let found = tensor.location(ofRow: row)
        return "\(found?.file.string ?? "capture"): tensor \"\(tensor.name)\": row \(found?.row ?? row)"
    }
}
