import BlobStore
import Identifiers
import JobPlan
import LinearAlgebra

/// Packed triangles in the blob store, whole or by ranges of their elements.
struct PackedBlobs: Sendable {
    /// Elements that pass at a time where factors of any size stream: 1 MiB of fp32.
    static let rangeElements = 1 << 18

    let store: BlobStore

    /// Reads a packed fp32 matrix.
    ///
    /// - Throws: `BlobStoreError`, `LinearAlgebraError`.
    func matrix(_ blob: BlobReference, dimension: Int) throws -> PackedSymmetricMatrix<Float> {
        var matrix = try PackedSymmetricMatrix<Float>(dimension: dimension)
        try matrix.withMutableBytes { bytes throws in try store.read(blob.digest, into: &bytes) }
        return matrix
    }

    /// Fills one row of a buffer with a range of a blob's elements.
    ///
    /// - Throws: `BlobStoreError`.
    func read<Scalar: MatrixScalar>(
        _ blob: BlobReference, _ range: Range<Int>, intoRow row: Int, of buffer: inout Matrix<Scalar>
    ) throws {
        let size = MemoryLayout<Scalar>.size
        let start = row * buffer.columnCount * size
        try buffer.withMutableBytes { bytes throws in
            var target = bytes._mutatingExtracting(start..<start + range.count * size)
            try store.read(blob.digest, at: range.lowerBound * size, into: &target)
        }
    }

    /// The ranges in which a packed triangle of a dimension passes.
    ///
    /// - Throws: `LinearAlgebraError` for a dimension whose triangle has too many elements.
    static func ranges(dimension: Int) throws -> [Range<Int>] {
        let count = try PackedTriangle.elementCount(dimension: dimension)
        return stride(from: 0, to: count, by: rangeElements).map { $0..<min($0 + rangeElements, count) }
    }
}
