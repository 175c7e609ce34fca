public import Identifiers
public import LinearAlgebra
import Safetensors

extension CaptureSet {
    /// Bytes read at a time where elements must be converted: they stay in the cache between read and conversion.
    static let conversionBlockByteCount = 1 << 20

    /// Reads rows of a captured tensor as fp32, across the borders of files.
    ///
    /// F32 is read in place; F16 and BF16 are widened exactly, block by block.
    ///
    /// - Parameters:
    ///   - tensor: one of this set's.
    ///   - rows: rows of the concatenation.
    ///   - destination: `[≥ firstRow + rows.count, columnCount]`; other rows are left as they are.
    ///   - firstRow: the row of `destination` that takes the first of `rows`.
    /// - Throws: ``JobFileError``: rows that do not exist or do not fit, or a failed read; the rows written before the
    ///   failure stay written.
    public func readRows(
        _ tensor: CapturedTensor,
        _ rows: Range<Int>,
        into destination: inout Matrix<Float>,
        at firstRow: Int = 0
    ) throws(JobFileError) {
        let parts = try tensor.fileRows(of: rows)
        guard destination.columnCount == tensor.columnCount, firstRow >= 0,
            firstRow <= destination.rowCount, rows.count <= destination.rowCount - firstRow
        else {
            let mismatch = LinearAlgebraError.lengthMismatch(
                buffer: "the matrix for tensor \"\(tensor.name)\"",
                expected: rows.count * tensor.columnCount,
                found: max(0, destination.rowCount - firstRow) * destination.columnCount
            )
            throw .linearAlgebra(file: files[0].path, mismatch)
        }
        var row = firstRow
        for part in parts {
            let elements = row * tensor.columnCount..<(row + part.rows.count) * tensor.columnCount
            if tensor.elementType == .f32 {
                try readInPlace(part, into: &destination, elements)
            } else {
                try readConverting(part, tensor.elementType, into: &destination, elements)
            }
            row += part.rows.count
        }
    }

    /// Asks the kernel to read rows ahead while the caller computes; a hint that cannot fail.
    public func prefetchRows(_ tensor: CapturedTensor, _ rows: Range<Int>) {
        guard let parts = try? tensor.fileRows(of: rows.clamped(to: 0..<tensor.rowCount)) else { return }
        for part in parts { files[part.fileIndex].prefetch(fileRange: part.byteRange) }
    }

    /// What tells the content of one captured tensor from another's without comparing rows: layers that read the same
    /// rows (q, k, v; gate, up) have inputs of one digest, and one A.
    ///
    /// It is the SHA-256 of the parts' SHA-256 in the order of the files, so it compares tensors of the same capture.
    ///
    /// - Throws: ``JobFileError/safetensors(_:)`` if a part cannot be read.
    public func contentDigest(of tensor: CapturedTensor) throws(JobFileError) -> BlobDigest {
        var digests: [UInt8] = []
        for piece in tensor.pieces {
            digests += try wrapping { () throws(SafetensorsError) in
                try files[piece.fileIndex].sha256(of: tensor.name)
            }
        }
        guard let digest = BlobDigest(bytes: FileDigest.sha256(of: digests)) else {
            preconditionFailure("SHA-256 did not give the \(BlobDigest.byteCount) bytes of a digest")
        }
        return digest
    }

    private func readInPlace(
        _ part: CapturedTensor.FileRows,
        into destination: inout Matrix<Float>,
        _ elements: Range<Int>
    ) throws(JobFileError) {
        let file = files[part.fileIndex]
        try wrapping { () throws(SafetensorsError) in
            try destination.withMutableBytes { (bytes: inout MutableRawSpan) throws(SafetensorsError) in
                let size = ElementType.f32.byteCount
                var target = bytes._mutatingExtracting(elements.lowerBound * size..<elements.upperBound * size)
                try file.read(fromFileOffset: part.byteRange.lowerBound, into: &target)
            }
        }
    }

    private func readConverting(
        _ part: CapturedTensor.FileRows,
        _ type: ElementType,
        into destination: inout Matrix<Float>,
        _ elements: Range<Int>
    ) throws(JobFileError) {
        let file = files[part.fileIndex]
        let blockElementCount = Self.conversionBlockByteCount / type.byteCount
        var block = [UInt8](repeating: 0, count: min(Self.conversionBlockByteCount, part.byteRange.count))
        for first in stride(from: 0, to: elements.count, by: blockElementCount) {
            let count = min(blockElementCount, elements.count - first)
            let byteCount = count * type.byteCount
            try wrapping { () throws(SafetensorsError) in
                var span = block.mutableSpan
                var bytes = span.mutableBytes
                var wanted = bytes._mutatingExtracting(first: byteCount)
                try file.read(fromFileOffset: part.byteRange.lowerBound + first * type.byteCount, into: &wanted)
            }
            try wrapping(file.path) { () throws(LinearAlgebraError) in
                try destination.withMutableSpan { (span: inout MutableSpan<Float>) throws(LinearAlgebraError) in
                    let start = elements.lowerBound + first
                    var target = span._mutatingExtracting(start..<start + count)
                    try type.decode(block.span.bytes.extracting(first: byteCount), into: &target)
                }
            }
        }
    }
}
