import Identifiers
public import LinearAlgebra
import Safetensors

extension CurvatureSet {
    /// Bytes of rows that are read at a time from a full square.
    private static let blockByteCount = 8 << 20
    /// Reads a matrix in fp32; an F64 matrix is rounded to nearest even.
    ///
    /// - Throws: ``JobFileError``: no such matrix, a matrix that is not symmetric and positive semi-definite, or a
    ///   failed read.
    public func readFloat(_ name: CurvatureTensorName) throws(JobFileError) -> PackedSymmetricMatrix<Float> {
        try read(name) { type, bytes, target throws(LinearAlgebraError) in try type.decode(bytes, into: &target) }
    }

    /// Reads a matrix in fp64, exactly.
    ///
    /// - Throws: ``JobFileError``: no such matrix, a matrix that is not symmetric and positive semi-definite, or a
    ///   failed read.
    public func readDouble(_ name: CurvatureTensorName) throws(JobFileError) -> PackedSymmetricMatrix<Double> {
        try read(name) { type, bytes, target throws(LinearAlgebraError) in try type.decode(bytes, into: &target) }
    }

    private typealias Decoding<Scalar> =
        (ElementType, RawSpan, inout MutableSpan<Scalar>) throws(LinearAlgebraError) -> Void

    private func read<Scalar>(
        _ name: CurvatureTensorName,
        _ decode: Decoding<Scalar>
    ) throws(JobFileError) -> PackedSymmetricMatrix<Scalar> {
        guard let entry = self[name], let file = tensors[name.name]?.file else {
            throw .missingTensor(file: tensors.path, tensor: name.name)
        }
        var matrix = try wrapping(entry.file) { () throws(LinearAlgebraError) in
            try PackedSymmetricMatrix<Scalar>(shape: entry.shape)
        }
        if let compression = entry.compression?.compression {
            try readCompressed(entry, compression, of: file, into: &matrix, decode)
            return matrix
        }
        guard !entry.shape.isDiagonal else {
            try readDiagonal(entry, of: file, into: &matrix, decode)
            return matrix
        }
        var square = try wrapping(entry.file) { () throws(LinearAlgebraError) in
            try Matrix<Double>(rows: entry.dimension, columns: entry.dimension)
        }
        let size = entry.elementType.byteCount
        let rowByteCount = entry.dimension * size
        let blockRowCount = max(1, min(entry.dimension, Self.blockByteCount / rowByteCount))
        var block = [UInt8](repeating: 0, count: blockRowCount * rowByteCount)
        for first in stride(from: 0, to: entry.dimension, by: blockRowCount) {
            let rows = first..<min(entry.dimension, first + blockRowCount)
            let isFull = entry.storage == .full
            // In packed storage row r starts after r(r + 1)/2 elements and has r + 1; in full storage after r·n, and
            // has n.
            let start = (isFull ? first * entry.dimension : PackedTriangle.offset(ofRow: first)) * size
            let end =
                (isFull ? rows.upperBound * entry.dimension : PackedTriangle.offset(ofRow: rows.upperBound)) * size
            try read(file, name.name, at: start, count: end - start, into: &block)
            for row in rows {
                let rowStart = (isFull ? row * entry.dimension : PackedTriangle.offset(ofRow: row)) * size - start
                let source = block.span.bytes.extracting(rowStart..<rowStart + (row + 1) * size)
                try store(source, row, entry, into: &matrix, decode)
                let whole = block.span.bytes.extracting(
                    rowStart..<rowStart + (isFull ? entry.dimension : row + 1) * size)
                try store(whole, row, entry, into: &square)
            }
        }
        try requireFactor(square, entry)
        return matrix
    }

    private func readDiagonal<Scalar>(
        _ entry: Entry,
        of file: SafetensorsFile,
        into matrix: inout PackedSymmetricMatrix<Scalar>,
        _ decode: Decoding<Scalar>
    ) throws(JobFileError) {
        let byteCount = entry.fileRange.count
        var bytes = [UInt8](repeating: 0, count: byteCount)
        try read(file, entry.name.name, at: 0, count: byteCount, into: &bytes)
        let flaw: FactorFlaw?
        do throws(LinearAlgebraError) {
            try matrix.withMutableSpan { (span: inout MutableSpan<Scalar>) throws(LinearAlgebraError) in
                try decode(entry.elementType, bytes.span.bytes, &span)
            }
            var values = [Double](repeating: 0, count: entry.dimension)
            var span = values.mutableSpan
            try entry.elementType.decode(bytes.span.bytes, into: &span)
            flaw = SemidefiniteCheck.flaw(inDiagonal: values.span)
        } catch { throw .linearAlgebra(file: entry.file, error) }
        if let flaw { throw .noFactor(file: entry.file, tensor: entry.name.name, flaw) }
    }

    private func readCompressed<Scalar>(
        _ entry: Entry,
        _ compression: Compression,
        of file: SafetensorsFile,
        into matrix: inout PackedSymmetricMatrix<Scalar>,
        _ decode: Decoding<Scalar>
    ) throws(JobFileError) {
        var bytes = [UInt8](repeating: 0, count: entry.fileRange.count)
        try read(file, entry.name.name, at: 0, count: bytes.count, into: &bytes)
        let flaw: FactorFlaw?
        do throws(LinearAlgebraError) {
            let stored = try CompressedSymmetricMatrix(
                form: compression.form, dimension: entry.dimension, bytes: bytes)
            let decoded = try stored.decoded(shift: compression.shift)
            try matrix.withMutableSpan { (span: inout MutableSpan<Scalar>) throws(LinearAlgebraError) in
                try decoded.withBytes { (source: RawSpan) throws(LinearAlgebraError) in
                    try decode(.f64, source, &span)
                }
            }
            flaw = try SemidefiniteCheck.flaw(in: decoded.unpackedLower(), readsBothTriangles: false)
        } catch { throw .linearAlgebra(file: entry.file, error) }
        if let flaw { throw .noFactor(file: entry.file, tensor: entry.name.name, flaw) }
    }

    private func read(
        _ file: SafetensorsFile,
        _ name: String,
        at start: Int,
        count: Int,
        into block: inout [UInt8]
    ) throws(JobFileError) {
        do throws(SafetensorsError) {
            var span = block.mutableSpan
            var bytes = span.mutableBytes
            var wanted = bytes._mutatingExtracting(first: count)
            try file.read(name, at: start, into: &wanted)
        } catch { throw .safetensors(error) }
    }

    private func store<Scalar>(
        _ source: RawSpan,
        _ row: Int,
        _ entry: Entry,
        into matrix: inout PackedSymmetricMatrix<Scalar>,
        _ decode: Decoding<Scalar>
    ) throws(JobFileError) {
        do throws(LinearAlgebraError) {
            try matrix.withMutableSpan { (span: inout MutableSpan<Scalar>) throws(LinearAlgebraError) in
                let start = PackedTriangle.offset(ofRow: row)
                var target = span._mutatingExtracting(start..<start + row + 1)
                try decode(entry.elementType, source, &target)
            }
        } catch { throw .linearAlgebra(file: entry.file, error) }
    }

    // MARK: - What every matrix here is

    /// Stores rows for the check: both triangles of a square, the lower triangle of a packed matrix.
    private func store(
        _ source: RawSpan, _ row: Int, _ entry: Entry, into square: inout Matrix<Double>
    ) throws(JobFileError) {
        do throws(LinearAlgebraError) {
            try square.withMutableSpan { (span: inout MutableSpan<Double>) throws(LinearAlgebraError) in
                let start = row * entry.dimension
                let count = source.byteCount / entry.elementType.byteCount
                var target = span._mutatingExtracting(start..<start + count)
                try entry.elementType.decode(source, into: &target)
            }
        } catch { throw .linearAlgebra(file: entry.file, error) }
    }

    /// Requires the property of all factors, regularizers and inverses: symmetric and positive semi-definite.
    private func requireFactor(_ square: consuming Matrix<Double>, _ entry: Entry) throws(JobFileError) {
        let flaw: FactorFlaw?
        do throws(LinearAlgebraError) {
            flaw = try SemidefiniteCheck.flaw(in: square, readsBothTriangles: entry.storage == .full)
        } catch { throw .linearAlgebra(file: entry.file, error) }
        if let flaw { throw .noFactor(file: entry.file, tensor: entry.name.name, flaw) }
    }
}
