import Identifiers
public import LinearAlgebra
import Safetensors

extension CurvatureSet {
    /// Bytes of rows read at a time from a full square.
    private static let blockByteCount = 8 << 20
    /// Pairs of mirrored elements that are compared in a full square; each costs two small reads.
    private static let comparedPairCount = 64
    /// How far mirrored elements may lie apart, relative to the larger one: other programs sum the two in another
    /// order.
    private static let symmetryTolerance = 1.0e-3

    /// Reads a matrix in fp32; an F64 matrix is rounded to nearest even.
    ///
    /// - Throws: ``JobFileError``: no such matrix, one that is not symmetric, or a failed read.
    public func readFloat(_ name: CurvatureTensorName) throws(JobFileError) -> PackedSymmetricMatrix<Float> {
        try read(name) { type, bytes, target throws(LinearAlgebraError) in try type.decode(bytes, into: &target) }
    }

    /// Reads a matrix in fp64, exactly.
    ///
    /// - Throws: ``JobFileError``: no such matrix, one that is not symmetric, or a failed read.
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
        if entry.storage == .full { try compareMirroredElements(of: entry, in: file) }
        var matrix = try wrapping(entry.file) { () throws(LinearAlgebraError) in
            try PackedSymmetricMatrix<Scalar>(dimension: entry.dimension)
        }
        let size = entry.elementType.byteCount
        let rowByteCount = entry.dimension * size
        let blockRowCount = max(1, min(entry.dimension, Self.blockByteCount / rowByteCount))
        var block = [UInt8](repeating: 0, count: blockRowCount * rowByteCount)
        for first in stride(from: 0, to: entry.dimension, by: blockRowCount) {
            let rows = first..<min(entry.dimension, first + blockRowCount)
            let isFull = entry.storage == .full
            // A packed row r begins after r(r + 1)/2 elements and has r + 1; a full one after r·n and has n.
            let start = (isFull ? first * entry.dimension : PackedTriangle.offset(ofRow: first)) * size
            let end =
                (isFull ? rows.upperBound * entry.dimension : PackedTriangle.offset(ofRow: rows.upperBound)) * size
            try read(file, name.name, at: start, count: end - start, into: &block)
            for row in rows {
                let rowStart = (isFull ? row * entry.dimension : PackedTriangle.offset(ofRow: row)) * size - start
                let source = block.span.bytes.extracting(rowStart..<rowStart + (row + 1) * size)
                try store(source, row, entry, into: &matrix, decode)
            }
        }
        return matrix
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

    // MARK: - Symmetry

    /// Compares elements spread over the square with their mirrors, among them the corner.
    private func compareMirroredElements(of entry: Entry, in file: SafetensorsFile) throws(JobFileError) {
        let dimension = entry.dimension
        guard dimension > 1 else { return }
        for pair in 0..<Self.comparedPairCount {
            // Row from the last downwards in even steps, column by a step that has no factor in common with most n.
            let row = dimension - 1 - pair * (dimension - 1) / Self.comparedPairCount
            let column = pair * 7919 % row
            let value = try element(row, column, of: entry, in: file)
            let mirrored = try element(column, row, of: entry, in: file)
            let difference = (value - mirrored).magnitude
            // NaN is no asymmetry here: it is reported, with its row, where values are checked.
            if difference > Self.symmetryTolerance * max(value.magnitude, mirrored.magnitude), difference > 1.0e-30 {
                let scale = try diagonalScale(row, column, of: entry, in: file)
                guard difference > 1.0e-5 * scale else { continue }
                throw .notSymmetric(
                    file: entry.file,
                    tensor: entry.name.name,
                    row: row,
                    column: column,
                    value: value,
                    mirrored: mirrored
                )
            }
        }
    }

    /// √(m_rr · m_cc), beside which rounding errors of an element are small even when the element is near 0.
    private func diagonalScale(
        _ row: Int,
        _ column: Int,
        of entry: Entry,
        in file: SafetensorsFile
    ) throws(JobFileError) -> Double {
        let product = try element(row, row, of: entry, in: file) * element(column, column, of: entry, in: file)
        return product.magnitude.squareRoot()
    }

    private func element(
        _ row: Int,
        _ column: Int,
        of entry: Entry,
        in file: SafetensorsFile
    ) throws(JobFileError) -> Double {
        let size = entry.elementType.byteCount
        let bytes = try wrapping { () throws(SafetensorsError) in
            try file.bytes(of: entry.name.name, at: (row * entry.dimension + column) * size, count: size)
        }
        var value = [0.0]
        try wrapping(entry.file) { () throws(LinearAlgebraError) in
            var target = value.mutableSpan
            try entry.elementType.decode(bytes.span.bytes, into: &target)
        }
        return value[0]
    }
}
