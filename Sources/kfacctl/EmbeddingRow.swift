import Console
import JobFiles
import KroneckerFactors
import LinearAlgebra

extension CaptureSet {
    /// Bytes of indices that are read at a time.
    private static let indexBlockBytes = 1 << 20

    /// The one row that stands for the ids of an embedding: its squares are the diagonal of Σ ã ãᵀ.
    ///
    /// A one-hot row for each id would have as many elements as the table has rows.
    ///
    /// - Parameters:
    ///   - tensor: The captured ids.
    ///   - type: Their type.
    ///   - indexCount: The rows of the embedding's table.
    ///   - lengths: The ids of each sample, for each part of the tensor, if samples are averaged.
    /// - Returns: `indexCount` elements.
    /// - Throws: ``CommandFailure`` for an id that the table does not have, or what reading throws.
    func embeddingRow(
        of tensor: CapturedTensor, _ type: IndexType, indexCount: Int, lengths: [[Int]]?
    ) throws -> [Float] {
        var sum = try IndexAccumulation(indexCount: indexCount, averagesSamples: lengths != nil)
        var ends = lengths?.flatMap(\.self)[...] ?? []
        var open = 0
        let blockCount = Self.indexBlockBytes / type.byteCount
        for piece in tensor.pieces {
            for first in stride(from: 0, to: piece.rowCount, by: blockCount) {
                let count = min(blockCount, piece.rowCount - first)
                let bytes = try bytes(
                    ofFile: piece.fileIndex, at: piece.fileOffset + first * type.byteCount,
                    count: count * type.byteCount)
                for position in 0..<count {
                    let index = type.index(at: position, of: bytes)
                    guard (0..<Int64(indexCount)).contains(index) else {
                        throw CommandFailure(
                            .badInput,
                            "\(piece.file): tensor \"\(tensor.name)\" holds the index \(index) in row \(first + position); "
                                + "expected 0 to \(indexCount - 1), one of the \(indexCount) rows of the base's embedding. "
                                + "Capture the ids that the model was given, without padding.")
                    }
                    sum.add(Int(index))
                    open += 1
                    guard open == ends.first else { continue }
                    sum.endSample()
                    ends.removeFirst()
                    open = 0
                }
            }
        }
        let diagonal = try sum.finish(divisor: 1)
        return (0..<indexCount).map { Float(Double(diagonal[$0, $0]).squareRoot()) }
    }
}
