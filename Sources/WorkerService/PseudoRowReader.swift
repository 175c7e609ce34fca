import Identifiers
import LinearAlgebra
import UnitOperations
import WireProtocol

/// Reads some pseudo-rows of a blob at a time, in fp64.
struct PseudoRowReader {
    private let blob: BlobReference
    private let positions: Int
    private let width: Int
    private let input: InputReader

    /// Checks the size of a blob of pseudo-rows, and brings it into the cache.
    ///
    /// - Parameters:
    ///   - blob: Rows of `positions` times `width` elements, F32.
    ///   - rows: Their number.
    ///   - positions: P.
    ///   - width: Elements of a position.
    ///   - input: Where the blob is.
    /// - Throws: ``UnitError/malformedLease(_:)`` for another size, or what fetching throws.
    init(_ blob: BlobReference, rows: Int, positions: Int, width: Int, input: InputReader) async throws {
        let expected = UInt64(rows).saturatingProduct(UInt64(positions)).saturatingProduct(UInt64(width))
            .saturatingProduct(4)
        guard blob.byteCount == expected else {
            throw UnitError.malformedLease(
                "blob \(blob.digest) has \(blob.byteCount) bytes; \(rows) pseudo-rows have \(expected)")
        }
        (self.blob, self.positions, self.width, self.input) = (blob, positions, width, input)
        try await input.blobs.prepare([blob])
    }

    /// Some rows, `[rows · P, width]`.
    ///
    /// - Throws: What reading throws.
    func rows(_ range: Range<Int>) throws -> Matrix<Double> {
        let rowBytes = 4 * positions * width
        var rows = try Matrix<Float>(rows: range.count * positions, columns: width)
        try rows.withMutableBytes { bytes throws in
            try input.blobs.read(blob.digest, at: range.lowerBound * rowBytes, into: &bytes)
        }
        return try Matrix<Double>(widening: rows)
    }
}
