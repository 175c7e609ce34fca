import BlobStore
import Identifiers
import JobPlan
import LinearAlgebra
import UnitOperations

/// Reads factors from the blob store, exact or compressed.
struct PackedBlobs: Sendable {
    let store: BlobStore

    /// Reads an fp32 factor.
    ///
    /// - Throws: `BlobStoreError`, also when the bytes do not match the blob's digest; `LinearAlgebraError`.
    func matrix(_ blob: BlobReference, of shape: SymmetricShape) throws -> PackedSymmetricMatrix<Float> {
        var matrix = try PackedSymmetricMatrix<Float>(shape: shape)
        let source = try store.blob(blob.digest, byteCount: Int(clamping: blob.byteCount))
        try matrix.withMutableBytes { bytes throws in try source.read(at: 0, into: &bytes) }
        try source.verify()
        return matrix
    }

    /// Reads a compressed factor.
    ///
    /// - Throws: `BlobStoreError`, also when the bytes do not match the blob's digest.
    func bytes(_ blob: BlobReference) throws -> [UInt8] {
        let source = try store.blob(blob.digest, byteCount: Int(clamping: blob.byteCount))
        var bytes = [UInt8](repeating: 0, count: source.byteCount)
        var span = bytes.mutableSpan
        var target = span.mutableBytes
        try source.read(at: 0, into: &target)
        try source.verify()
        return bytes
    }
}
