import BlobStore
import Identifiers
import JobPlan
import LinearAlgebra

/// Packed triangles in the blob store.
struct PackedBlobs: Sendable {
    let store: BlobStore

    /// Reads a packed fp32 matrix.
    ///
    /// - Throws: ``CoordinatorWorkError/damagedBlob(_:)`` when the bytes are not what the blob's name says,
    ///   `BlobStoreError`, `LinearAlgebraError`.
    func matrix(_ blob: BlobReference, dimension: Int) throws -> PackedSymmetricMatrix<Float> {
        var matrix = try PackedSymmetricMatrix<Float>(dimension: dimension)
        try matrix.withMutableBytes { bytes throws in try store.read(blob.digest, into: &bytes) }
        // Hashed once more before it goes into a file: it may have lain here through restarts and a failing disk.
        guard matrix.withBytes({ BlobDigest(hashing: $0) }) == blob.digest else {
            throw CoordinatorWorkError.damagedBlob(blob.digest)
        }
        return matrix
    }
}
