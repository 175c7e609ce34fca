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
    /// Bytes of rows that are read at a time, so that a file over the network does not need a request for each row.
    private static let pieceBytes = 4 << 20

    let operation: SumPartialsOperation
    let input: InputReader

    /// Reads some rows of every part at a time, adds them, and checks that the sum is a factor's.
    ///
    /// - Throws: ``UnitError/nonFinite(_:)`` or ``UnitError/badInput(_:)`` for values that are not a factor's, or what
    ///   reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        guard !operation.shape.isDiagonal else { return try await runDiagonal(&scratch) }
        try checkSlices()
        let elementCount = try PackedTriangle.elementCount(dimension: operation.dimension)
        let writer = try input.blobs.beginWrite(
            byteCount: UInt64(elementCount) * (operation.divisor == nil ? 8 : 4))
        var square = try Matrix<Double>(rows: operation.dimension, columns: operation.dimension)
        var part = try Matrix<Double>(rows: 1, columns: max(operation.dimension, Self.pieceBytes / 4))
        var row = try Matrix<Float>(rows: 1, columns: operation.dimension)
        var (trace, largest, isZero) = (0.0, Float(0), true)
        var first = 0
        while first < operation.dimension {
            let rows = rows(from: first)
            for slice in operation.slices { try await add(rows, of: slice, to: &square, &part, &scratch.raw) }
            for index in rows {
                isZero = isZero && square[index, index] == 0
                if let divisor = operation.divisor {
                    let diagonal = try append(index, of: square, dividedBy: divisor, &row, writer)
                    trace += Double(diagonal)
                    if diagonal > largest { largest = diagonal }
                } else {
                    try append(index, of: square, writer)
                }
            }
            first = rows.upperBound
        }
        try await requireFactor(square, &scratch)
        guard operation.divisor != nil else { return UnitResult(blobs: [try input.blobs.finish(writer)]) }
        guard isZero || largest >= Float.leastNormalMagnitude else {
            throw UnitError.badInput(
                "\(place)vanishes in fp32: its largest diagonal element is \(largest). Scale the rows of all tasks up.")
        }
        return UnitResult(blobs: [try input.blobs.finish(writer)], measurements: [.trace: [trace]])
    }

    private func runDiagonal(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let sum = DiagonalSum(
            dimension: operation.dimension, elementType: operation.elementType, slices: operation.slices, input: input)
        let total = try await sum.total(flawError: { flawError($0, in: $1) }, &scratch.raw)
        guard let divisor = operation.divisor else {
            return UnitResult(blobs: [try total.withBytes { bytes throws in try input.blobs.store(bytes) }])
        }
        return try sum.store(total, dividedBy: divisor, place: place, scaled: "the rows of all tasks")
    }

    // MARK: - Parts

    /// Adds some rows of a part, and refuses values that no sum of squares has.
    private func add(
        _ rows: Range<Int>, of slice: FileSlice, to square: inout Matrix<Double>, _ part: inout Matrix<Double>,
        _ raw: inout [UInt8]
    ) async throws {
        let (start, end) = (
            PackedTriangle.offset(ofRow: rows.lowerBound), PackedTriangle.offset(ofRow: rows.upperBound)
        )
        let size = operation.elementType.byteCount
        let piece = FileSlice(
            file: slice.file, offset: slice.offset + UInt64(start * size), byteCount: UInt64((end - start) * size))
        try await input.read(piece, into: &raw)
        if let position = operation.elementType.firstNonFinite(in: raw.span.bytes) {
            let row = PackedTriangle.row(containing: start + position)
            throw flawError(
                .nonFinite(row: row, column: start + position - PackedTriangle.offset(ofRow: row)), in: slice)
        }
        try part.withMutablePrefix(end - start) { part throws in
            try operation.elementType.decode(raw.span.bytes, into: &part)
        }
        for row in rows {
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

    private func append(_ index: Int, of square: borrowing Matrix<Double>, _ writer: CacheWriter) throws {
        let start = index * operation.dimension
        try square.withSpan { try writer.append($0.extracting(start..<start + index + 1).bytes) }
    }

    /// Appends a row's part of the lower triangle in fp32, and returns the diagonal element.
    private func append(
        _ index: Int, of square: borrowing Matrix<Double>, dividedBy divisor: Double, _ row: inout Matrix<Float>,
        _ writer: CacheWriter
    ) throws -> Float {
        let (count, start) = (index + 1, index * operation.dimension)
        try square.withSpan { square throws in
            try row.withMutablePrefix(count) { row throws in
                try VectorOperations.divide(square.extracting(start..<start + count), by: divisor, into: &row)
            }
        }
        return try row.withSpan { span throws in
            let elements = span.extracting(first: count)
            if let column = ElementType.f32.firstNonFinite(in: elements.bytes) {
                throw UnitError.badInput(
                    "\(place)the element (\(index), \(column)) is beyond fp32, in which factors are stored. Scale the rows "
                        + "of all tasks down.")
            }
            try writer.append(elements.bytes)
            return span[index]
        }
    }

    /// Requires that the sum is positive semi-definite.
    ///
    /// Sums of such parts always are. So when it is not, the parts are read again to name the first that is not either.
    private func requireFactor(_ square: consuming Matrix<Double>, _ scratch: inout LaneScratch) async throws {
        let start = ContinuousClock.now
        let flaw = try SemidefiniteCheck.flaw(in: square, readsBothTriangles: false)
        scratch.kernels.note(.solve, since: start)
        guard let flaw else { return }
        var part = try Matrix<Double>(rows: 1, columns: max(operation.dimension, Self.pieceBytes / 4))
        for slice in operation.slices {
            var alone = try Matrix<Double>(rows: operation.dimension, columns: operation.dimension)
            var first = 0
            while first < operation.dimension {
                let rows = rows(from: first)
                try await add(rows, of: slice, to: &alone, &part, &scratch.raw)
                first = rows.upperBound
            }
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

    /// The rows that are read together: as many as the piece holds, and at least one.
    private func rows(from first: Int) -> Range<Int> {
        let size = operation.elementType.byteCount
        var end = first + 1
        while end < operation.dimension,
            (PackedTriangle.offset(ofRow: end + 1) - PackedTriangle.offset(ofRow: first)) * size <= Self.pieceBytes
        {
            end += 1
        }
        return first..<end
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
