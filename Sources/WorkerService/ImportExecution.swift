import LinearAlgebra
import UnitOperations
import WireProtocol

extension ImportOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await ImportExecution(operation: self, input: input).run(&scratch)
    }
}

/// Converts a factor of a finished set to the form in which factors travel: a packed fp32 triangle, or a diagonal.
struct ImportExecution {
    let operation: ImportOperation
    let input: InputReader

    /// Reads some rows at a time, both triangles of a square, and checks that they are a factor's.
    ///
    /// - Throws: ``UnitError/nonFinite(_:)`` or ``UnitError/badInput(_:)`` for values that are not a factor's, or what
    ///   reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        guard !operation.shape.isDiagonal else { return try await runDiagonal(&scratch) }
        if let compression = operation.compression { return try await runCompressed(compression, &scratch) }
        try checkSlice()
        var writer = try FactorWriter(
            operation.shape, capacity: operation.dimension, givesDouble: operation.givesDouble, place: place,
            blobs: input.blobs)
        var square = try Matrix<Double>(rows: operation.dimension, columns: operation.dimension)
        for rows in rows.pieces {
            try await read(rows, into: &square, &scratch.raw)
            for index in rows {
                let start = index * operation.dimension
                try square.withSpan {
                    try writer.append($0.extracting(start..<start + index + 1), at: PackedTriangle.offset(ofRow: index))
                }
            }
        }
        let start = ContinuousClock.now
        if let flaw = try SemidefiniteCheck.flaw(in: square, readsBothTriangles: !operation.isPacked) {
            throw error(flaw)
        }
        scratch.kernels.note(.solve, since: start)
        return try writer.finish()
    }

    private func runDiagonal(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let sum = DiagonalSum(
            dimension: operation.dimension, elementType: operation.elementType, slices: [operation.slice], input: input)
        let diagonal = try await sum.total(flawError: { flaw, _ in error(flaw) }, &scratch.raw)
        return try sum.store(diagonal, givesDouble: operation.givesDouble, place: place)
    }

    /// Decodes a compressed factor as a whole.
    private func runCompressed(_ compression: Compression, _ scratch: inout LaneScratch) async throws -> UnitResult {
        let dimension = operation.dimension
        guard operation.slice.byteCount == UInt64(compression.form.byteCount(dimension: dimension)) else {
            throw wrongSize
        }
        var writer = try FactorWriter(
            operation.shape, capacity: dimension, givesDouble: operation.givesDouble, place: place, blobs: input.blobs)
        try await input.read(operation.slice, into: &scratch.raw)
        let start = ContinuousClock.now
        let stored = try CompressedSymmetricMatrix(form: compression.form, dimension: dimension, bytes: scratch.raw)
        let matrix = try stored.decoded(shift: compression.shift)
        if let flaw = try SemidefiniteCheck.flaw(in: try matrix.unpackedLower(), readsBothTriangles: false) {
            throw error(flaw)
        }
        scratch.kernels.note(.solve, since: start)
        try writer.append(matrix)
        return try writer.finish()
    }

    private var rows: StoredRows {
        StoredRows(
            dimension: operation.dimension, elementType: operation.elementType, isPacked: operation.isPacked)
    }

    /// Reads a piece, and decodes it: a square's whole rows, or a triangle's rows up to the diagonal.
    private func read(_ piece: Range<Int>, into square: inout Matrix<Double>, _ raw: inout [UInt8]) async throws {
        try await input.read(rows.slice(piece, of: operation.slice), into: &raw)
        let first = rows.offset(ofRow: piece.lowerBound)
        if let position = operation.elementType.firstNonFinite(in: raw.span.bytes) {
            let (row, column) = rows.place(of: first + position)
            throw error(.nonFinite(row: row, column: column))
        }
        let size = operation.elementType.byteCount
        try square.withMutableSpan { square throws in
            for row in piece {
                let (start, end) = (rows.offset(ofRow: row) - first, rows.offset(ofRow: row + 1) - first)
                let target = row * operation.dimension
                var elements = square._mutatingExtracting(target..<target + end - start)
                try operation.elementType.decode(raw.span.bytes.extracting(start * size..<end * size), into: &elements)
            }
        }
    }

    private var place: String { "\(input.path(of: operation.slice.file)): \(input.lease.title): " }

    private func error(_ flaw: FactorFlaw) -> UnitError {
        if case .nonFinite = flaw { return .nonFinite(place + flaw.description) }
        return .badInput(place + flaw.description)
    }

    private func checkSlice() throws {
        // The triangle's size is checked first. If it fits, the square's size cannot overflow.
        _ = try PackedTriangle.elementCount(dimension: operation.dimension)
        let elementCount = rows.offset(ofRow: operation.dimension)
        guard operation.dimension > 0,
            operation.slice.byteCount == UInt64(elementCount * operation.elementType.byteCount)
        else { throw wrongSize }
    }

    private var wrongSize: UnitError {
        UnitError.malformedLease(
            "factor \"\(input.lease.subject)\" has \(operation.slice.byteCount) bytes for dimension "
                + "\(operation.dimension)")
    }
}
