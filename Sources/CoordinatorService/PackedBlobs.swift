import BlobStore
import Identifiers
import JobPlan
import LinearAlgebra
import UnitOperations

/// Reads packed triangles from the blob store.
struct PackedBlobs: Sendable {
    let store: BlobStore

    /// Reads a packed fp32 matrix.
    ///
    /// - Throws: `BlobStoreError`, also when the bytes do not match the blob's digest; `LinearAlgebraError`.
    func matrix(_ blob: BlobReference, dimension: Int) throws -> PackedSymmetricMatrix<Float> {
        var matrix = try PackedSymmetricMatrix<Float>(dimension: dimension)
        let source = try store.blob(blob.digest, byteCount: Int(clamping: blob.byteCount))
        try matrix.withMutableBytes { bytes throws in try source.read(at: 0, into: &bytes) }
        try source.verify()
        return matrix
    }
}
