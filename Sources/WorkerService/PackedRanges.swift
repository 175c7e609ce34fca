import Identifiers
import LinearAlgebra
import WireProtocol

/// The ranges in which factors of any size are streamed.
enum PackedRanges {
    /// Elements in a range: 1 MiB of fp32.
    static let elements = 1 << 18

    /// The ranges of a factor's stored elements.
    ///
    /// - Throws: `LinearAlgebraError` for a dimension whose triangle has too many elements.
    static func ranges(of shape: SymmetricShape) throws -> [Range<Int>] {
        let count = try shape.elementCount()
        return stride(from: 0, to: count, by: elements).map { $0..<min($0 + elements, count) }
    }

    /// Bytes of a factor's stored elements as fp32.
    ///
    /// - Throws: `LinearAlgebraError` for a dimension whose triangle has too many elements.
    static func byteCount(of shape: SymmetricShape) throws -> UInt64 {
        UInt64(try shape.elementCount()) * 4
    }
}

extension UnitBlobs {
    /// Fills one row of a buffer with a range of a blob's elements.
    ///
    /// - Throws: ``UnitError/inputMissing(_:)`` when the blob is gone.
    func read<Scalar: MatrixScalar>(
        _ blob: BlobReference, _ range: Range<Int>, intoRow row: Int, of buffer: inout Matrix<Scalar>
    ) throws {
        let size = MemoryLayout<Scalar>.size
        let start = row * buffer.columnCount * size
        try buffer.withMutableBytes { bytes throws in
            var target = bytes._mutatingExtracting(start..<start + range.count * size)
            try read(blob.digest, at: range.lowerBound * size, into: &target)
        }
    }
}
