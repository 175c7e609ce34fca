public import LinearAlgebra
import Safetensors

extension CaptureSet {
    /// Bytes read at a time when elements must be converted; they stay in the cache from read to conversion.
    static let conversionBlockByteCount = 1 << 20

    /// Reads rows of a captured tensor as fp32, also across files.
    ///
    /// F32 is read in place; F16 and BF16 are widened exactly, block by block.
    ///
    /// - Parameters:
    ///   - tensor: a tensor of this set, of numbers.
    ///   - rows: rows of the concatenation.
    ///   - destination: `[≥ firstRow + rows.count, columnCount]`; its other rows are unchanged.
    ///   - firstRow: the row of `destination` that takes the first of `rows`.
    /// - Throws: ``JobFileError``: rows that do not exist or do not fit, or a failed read; rows that were written
    ///   before the failure stay written.
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
        guard case .numbers(let elementType) = tensor.rowType else {
            throw .dataType(
                file: files[0].path, tensor: tensor.name, found: tensor.rowType == .indices(.i64) ? .int64 : .int32,
                expected: "numbers, not indices")
        }
        var row = firstRow
        for part in parts {
            let elements = row * tensor.columnCount..<(row + part.rows.count) * tensor.columnCount
            if elementType == .f32 {
                try readInPlace(part, into: &destination, elements)
            } else {
                try readConverting(part, elementType, into: &destination, elements)
            }
            row += part.rows.count
        }
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
