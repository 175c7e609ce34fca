import LinearAlgebra
import UnitOperations
import WireProtocol

/// A block's parameters as one matrix in fp64: `[W, b]` of a layer, `[1, d]` of another parameter.
struct BlockParameterReader {
    /// Bytes read at a time.
    private static let pieceBytes = 4 << 20

    let block: CurvatureBlock
    let input: InputReader

    /// Reads the parameters of the block that the unit is about.
    init(kind: CurvatureBlock.Kind, input: InputReader) {
        block = CurvatureBlock(name: input.lease.subject, kind: kind)
        self.input = input
    }

    /// Rows and columns of the matrix.
    var shape: (rows: Int, columns: Int) {
        switch block.kind {
        case .linear(let outputs, let inputs, let hasBias): (outputs, inputs + (hasBias ? 1 : 0))
        case .full(let dimension): (1, dimension)
        }
    }

    /// Reads θ of a block from one checkpoint.
    ///
    /// - Throws: ``UnitError/nonFinite(_:)`` for NaN or infinity in a parameter, ``UnitError/malformedLease(_:)`` when
    ///   the sizes in the lease contradict the block's, or what reading throws.
    func read(_ sources: BlockParameters) async throws -> Matrix<Double> {
        guard sources.count == block.parameters.count else {
            throw UnitError.malformedLease("\"\(block.name)\" has \(sources.count) parameters")
        }
        var matrix = try Matrix<Double>(rows: shape.rows, columns: shape.columns)
        switch block.kind {
        case .full: try await read(0, of: sources, rows: 1, columns: shape.columns, into: &matrix, at: 0)
        case .linear(let outputs, let inputs, let hasBias):
            try await read(0, of: sources, rows: outputs, columns: inputs, into: &matrix, at: 0)
            if hasBias { try await read(1, of: sources, rows: outputs, columns: 1, into: &matrix, at: inputs) }
        }
        return matrix
    }

    /// Reads θ_t − θ_0.
    ///
    /// - Throws: What ``read(_:)`` throws.
    func taskVector(_ sources: BlockParameters, base: borrowing Matrix<Double>) async throws -> Matrix<Double> {
        var delta = try await read(sources)
        try base.withSpan { base throws in
            try delta.withMutableSpan { delta throws in try VectorOperations.add(base, times: -1, to: &delta) }
        }
        return delta
    }

    /// Reads a tensor of `[rows, columns]` into the matrix, starting at `column`, some rows at a time.
    private func read(
        _ parameter: Int, of sources: BlockParameters, rows: Int, columns: Int, into matrix: inout Matrix<Double>,
        at column: Int
    ) async throws {
        let source = sources[parameter]
        let rowBytes = columns * source.elementType.byteCount
        guard source.slice.byteCount == UInt64(rows) * UInt64(rowBytes) else {
            throw UnitError.malformedLease("a parameter of \"\(block.name)\" has \(source.slice.byteCount) bytes")
        }
        var raw: [UInt8] = []
        let width = matrix.columnCount
        let rowsAtOnce = max(1, Self.pieceBytes / rowBytes)
        for first in stride(from: 0, to: rows, by: rowsAtOnce) {
            let count = min(rowsAtOnce, rows - first)
            let slice = FileSlice(
                file: source.slice.file, offset: source.slice.offset + UInt64(first * rowBytes),
                byteCount: UInt64(count * rowBytes))
            try await input.read(slice, into: &raw)
            if let position = source.elementType.firstNonFinite(in: raw.span.bytes) {
                throw nonFinite(parameter, source, element: first * columns + position)
            }
            try matrix.withMutableSpan { span throws in
                for row in 0..<count {
                    let start = (first + row) * width + column
                    var target = span._mutatingExtracting(start..<start + columns)
                    try source.elementType.decode(
                        raw.span.bytes.extracting(row * rowBytes..<(row + 1) * rowBytes), into: &target)
                }
            }
        }
    }

    /// The error for NaN or infinity; one such value would spread over the whole block, so no option allows it.
    private func nonFinite(_ parameter: Int, _ source: TensorSource, element: Int) -> UnitError {
        let place = "\(input.path(of: source.slice.file)): tensor \"\(block.parameters[parameter])\""
        return .nonFinite(
            "\(place) holds NaN or infinity, first in element \(element); expected finite values where factors are used. "
                + "Save the model again, or leave \"\(block.name)\" out with \"layers\"; a fine-tuned model may be given the "
                + "weight 0 instead.")
    }
}
