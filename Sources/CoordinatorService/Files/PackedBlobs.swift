import BlobStore
import Identifiers
import JobPlan
import LinearAlgebra
import UnitOperations

/// Reads factors from the blob store, exact or compressed.
struct PackedBlobs: Sendable {
    /// Bytes of a piece.
    private static let pieceBytes = 4 << 20

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

    /// Reads a blob in pieces.
    ///
    /// - Parameters:
    ///   - blob: The blob.
    ///   - body: Takes the bytes of each piece, and the position of the first in the blob.
    /// - Throws: `BlobStoreError`, also when the bytes do not match the blob's digest, or what `body` throws.
    func forEachPiece(of blob: BlobReference, _ body: (RawSpan, Int) throws -> Void) throws {
        let source = try store.blob(blob.digest, byteCount: Int(clamping: blob.byteCount))
        var bytes = [UInt8](repeating: 0, count: min(Self.pieceBytes, source.byteCount))
        for start in stride(from: 0, to: source.byteCount, by: Self.pieceBytes) {
            let count = min(Self.pieceBytes, source.byteCount - start)
            var span = bytes.mutableSpan
            var whole = span.mutableBytes
            var target = whole._mutatingExtracting(first: count)
            try source.read(at: start, into: &target)
            try body(bytes.span.bytes.extracting(first: count), start)
        }
        try source.verify()
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
