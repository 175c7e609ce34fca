import Identifiers
import LinearAlgebra
import UnitOperations
import WireProtocol

/// Blobs of F64, which only units read.
extension InputReader {
    /// Reads matrices of one shape from the start of a blob of F64, one after the other.
    ///
    /// - Parameters:
    ///   - blob: The blob.
    ///   - count: How many matrices it has.
    ///   - rows: Of each.
    ///   - columns: Of each.
    ///   - take: Takes a matrix, with its position.
    /// - Throws: ``UnitError/malformedLease(_:)`` for a blob of another size, or what reading throws.
    func readMatrices(
        _ blob: BlobReference, count: Int, rows: Int, columns: Int,
        _ take: (Int, consuming Matrix<Double>) throws -> Void
    ) async throws {
        let matrixBytes = UInt64(rows).saturatingProduct(UInt64(columns)).saturatingProduct(8)
        let expected = matrixBytes.saturatingProduct(UInt64(count))
        guard blob.byteCount == expected else {
            throw UnitError.malformedLease(
                "blob \(blob.digest) has \(blob.byteCount) bytes; \(count) matrices of \"\(lease.subject)\" have "
                    + "\(expected)")
        }
        try await blobs.prepare([blob])
        for position in 0..<count {
            var matrix = try Matrix<Double>(rows: rows, columns: columns)
            try matrix.withMutableBytes { bytes throws in
                try blobs.read(blob.digest, at: position * Int(matrixBytes), into: &bytes)
            }
            try take(position, matrix)
            try progress.step()
        }
    }

    /// Reads the numbers of a blob of F64.
    ///
    /// - Parameters:
    ///   - blob: The blob.
    ///   - count: How many numbers it has.
    /// - Returns: The numbers.
    /// - Throws: ``UnitError/malformedLease(_:)`` for a blob of another size, or what reading throws.
    func doubles(_ blob: BlobReference, count: Int) async throws -> [Double] {
        guard blob.byteCount == UInt64(count).saturatingProduct(8) else {
            throw UnitError.malformedLease(
                "blob \(blob.digest) has \(blob.byteCount) bytes; \(count) numbers have \(8 * count)")
        }
        try await blobs.prepare([blob])
        var values = [Double](repeating: 0, count: count)
        do {
            var span = values.mutableSpan
            var bytes = span.mutableBytes
            try blobs.read(blob.digest, at: 0, into: &bytes)
        }
        try progress.step()
        return values
    }
}
