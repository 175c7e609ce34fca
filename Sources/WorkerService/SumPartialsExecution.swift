import LinearAlgebra
import UnitOperations
import WireProtocol

extension SumPartialsOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await SumPartialsExecution(operation: self, input: input).run(&scratch)
    }
}

/// Adds the partial sums of a factor in the plan's order, in fp64, and divides.
struct SumPartialsExecution {
    let operation: SumPartialsOperation
    let input: InputReader

    /// Reads some rows of every part at a time, adds them, and checks that the sum is a factor's.
    ///
    /// - Throws: ``UnitError/nonFinite(_:)`` or ``UnitError/badInput(_:)`` for values that are not a factor's, or what
    ///   reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        guard !operation.shape.isDiagonal else { return try await runDiagonal(&scratch) }
        try checkSlices()
        var square = try Matrix<Double>(rows: operation.dimension, columns: operation.dimension)
        if let divisor = operation.divisor {
            var writer = try FactorWriter(
                operation.shape, capacity: operation.dimension, divisor: divisor,
                givesDouble: operation.givesDouble, place: place, blobs: input.blobs)
            try await sum(into: &square, &scratch.raw) { row, index throws in
                try writer.append(row, at: PackedTriangle.offset(ofRow: index))
            }
            try await requireFactor(square, &scratch)
            return try writer.finish()
        }
        // Another unit adds and divides this sum.
        let elementCount = try PackedTriangle.elementCount(dimension: operation.dimension)
        let writer = try input.blobs.beginWrite(byteCount: UInt64(elementCount) * 8)
        try await sum(into: &square, &scratch.raw) { row, _ throws in try writer.append(row.bytes) }
        try await requireFactor(square, &scratch)
        return UnitResult(blobs: [try input.blobs.finish(writer)])
    }

    private func runDiagonal(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let sum = DiagonalSum(
            dimension: operation.dimension, elementType: operation.elementType, slices: operation.slices, input: input)
        let total = try await sum.total(flawError: { flawError($0, in: $1) }, &scratch.raw)
        guard let divisor = operation.divisor else {
            return UnitResult(blobs: [try total.withBytes { bytes throws in try input.blobs.store(bytes) }])
        }
        return try sum.store(total, dividedBy: divisor, givesDouble: operation.givesDouble, place: place)
    }

    // MARK: - Parts

    private var rows: StoredRows {
        StoredRows(dimension: operation.dimension, elementType: operation.elementType, isPacked: true)
    }

    /// Adds all parts, and gives each row of the sum up to its diagonal.
    private func sum(
        into square: inout Matrix<Double>, _ raw: inout [UInt8], _ take: (Span<Double>, _ row: Int) throws -> Void
    ) async throws {
        var part = try Matrix<Double>(rows: 1, columns: rows.pieceElements)
        for piece in rows.pieces {
            for slice in operation.slices { try await add(piece, of: slice, to: &square, &part, &raw) }
            for row in piece {
                let start = row * operation.dimension
                try square.withSpan { try take($0.extracting(start..<start + row + 1), row) }
            }
        }
    }

    /// Adds some rows of a part, and refuses values that no sum of squares has.
    private func add(
        _ piece: Range<Int>, of slice: FileSlice, to square: inout Matrix<Double>, _ part: inout Matrix<Double>,
        _ raw: inout [UInt8]
    ) async throws {
        let (start, end) = (rows.offset(ofRow: piece.lowerBound), rows.offset(ofRow: piece.upperBound))
        try await input.read(rows.slice(piece, of: slice), into: &raw)
        if let position = operation.elementType.firstNonFinite(in: raw.span.bytes) {
            let (row, column) = rows.place(of: start + position)
            throw flawError(.nonFinite(row: row, column: column), in: slice)
        }
        try part.withMutablePrefix(end - start) { part throws in
            try operation.elementType.decode(raw.span.bytes, into: &part)
        }
        for row in piece {
            let first = PackedTriangle.offset(ofRow: row) - start
            let diagonal = part[0, first + row]
            if diagonal < 0 { throw flawError(.negativeDiagonal(row: row, value: diagonal), in: slice) }
            try part.withSpan { part throws in
                try square.withMutableSpan { square throws in
                    let target = row * operation.dimension
                    var sum = square._mutatingExtracting(target..<target + row + 1)
                    try VectorOperations.add(part.extracting(first..<first + row + 1), to: &sum)
                }
            }
        }
    }

    // MARK: - The sum

    /// Requires that the sum is positive semi-definite.
    ///
    /// Sums of such parts always are. So when it is not, the parts are read again to name the first that is not either.
    private func requireFactor(_ square: consuming Matrix<Double>, _ scratch: inout LaneScratch) async throws {
        let start = ContinuousClock.now
        let flaw = try SemidefiniteCheck.flaw(in: square, readsBothTriangles: false)
        scratch.kernels.note(.solve, since: start)
        guard let flaw else { return }
        var part = try Matrix<Double>(rows: 1, columns: rows.pieceElements)
        for slice in operation.slices {
            var alone = try Matrix<Double>(rows: operation.dimension, columns: operation.dimension)
            for piece in rows.pieces { try await add(piece, of: slice, to: &alone, &part, &scratch.raw) }
            if let flaw = try SemidefiniteCheck.flaw(in: alone, readsBothTriangles: false) {
                throw flawError(flaw, in: slice)
            }
        }
        throw UnitError.badInput(place + flaw.description)
    }

    // MARK: - Places

    private var place: String { "\(input.lease.title): " }

    private func flawError(_ flaw: FactorFlaw, in slice: FileSlice) -> UnitError {
        let message = "\(input.path(of: slice.file)): the partial sum of \"\(input.lease.subject)\": \(flaw)"
        if case .nonFinite = flaw { return .nonFinite(message) }
        return .badInput(message)
    }

    private func checkSlices() throws {
        let byteCount = UInt64(
            try PackedTriangle.elementCount(dimension: operation.dimension) * operation.elementType.byteCount)
        guard operation.dimension > 0, operation.slices.allSatisfy({ $0.byteCount == byteCount }) else {
            throw UnitError.malformedLease(
                "a partial sum of \"\(input.lease.subject)\" has not \(byteCount) bytes, for dimension "
                    + "\(operation.dimension)")
        }
    }
}
