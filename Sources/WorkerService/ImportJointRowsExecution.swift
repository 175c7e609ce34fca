import LinearAlgebra
import UnitOperations
import WireProtocol

extension ImportJointRowsOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await ImportJointRowsExecution(operation: self, input: input).run(&scratch)
    }
}

/// Copies the joint rows of a task's files, and checks that they are finite and agree with their factor.
///
/// The mean squares of all samples sum to the trace of B or F, and to that of A times the positions. Those of pooled
/// positions are at most as large, with the rows of a sample in place of the positions. Pseudo-rows are a part of the
/// samples, so their squares are at most as large as these, in each file. Rows of other samples than the factor's would
/// make the complement indefinite. Source: DESIGN section 2.2, joint form.
struct ImportJointRowsExecution {
    let operation: ImportJointRowsOperation
    let input: InputReader

    /// Bytes that are read at a time.
    private static let pieceBytes = 4 << 20
    /// By how much equal sums may differ, as a share of them: factors and rows are rounded to fp32.
    private static let tolerance = 1e-4

    /// Reads the tensors once.
    ///
    /// - Throws: ``UnitError/nonFinite(_:)`` for NaN or infinity, ``UnitError/badInput(_:)`` for squares or rows that
    ///   contradict the factor, or what reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        var means = [Double](repeating: 0, count: operation.positions)
        var sums: [Double] = []
        for part in operation.parts {
            let squares = try await numbers(part.squares, squaresName, &scratch.raw)
            try requirePositive(squares, in: part)
            sums.append(squares.reduce(0, +))
            for position in means.indices { means[position] += part.share * squares[position] }
        }
        try checkSquares(means.reduce(0, +))
        guard operation.content != .constant else {
            return UnitResult(measurements: [.constantRows: try await constants(sums, &scratch.raw)])
        }
        let writer = try input.blobs.beginWrite(byteCount: UInt64(4 * operation.elementCount))
        for (part, whole) in zip(operation.parts, sums) {
            try checkRows(try await copy(part, to: writer, &scratch.raw), of: part, within: whole)
        }
        return UnitResult(blobs: [try input.blobs.finish(writer)], measurements: [.positionSquares: means])
    }

    private func constants(_ sums: [Double], _ raw: inout [UInt8]) async throws -> [Double] {
        var rows: [Double] = []
        for (part, whole) in zip(operation.parts, sums) {
            let own = try await numbers(part.rows, rowsName, &raw)
            try checkRows(own.reduce(0) { $0 + $1 * $1 }, of: part, within: whole)
            let scale = part.share.squareRoot()
            rows += own.map { $0 * scale }
        }
        return rows
    }

    /// Copies the rows of a file, times the root of its share.
    ///
    /// - Returns: The sum of their squares in the file.
    private func copy(
        _ part: ImportJointRowsOperation.Part, to writer: CacheWriter, _ raw: inout [UInt8]
    ) async throws -> Double {
        let rows = part.rows
        let scale = Float(part.share.squareRoot())
        var values = try Matrix<Float>(rows: 1, columns: Self.pieceBytes / 4)
        var sum = 0.0
        for first in stride(from: 0, to: rows.byteCount, by: Self.pieceBytes) {
            let byteCount = min(UInt64(Self.pieceBytes), rows.byteCount - first)
            try await input.read(
                FileSlice(file: rows.file, offset: rows.offset + first, byteCount: byteCount), into: &raw)
            try requireFinite(raw.span.bytes, in: rows.file, rowsName)
            let count = Int(byteCount / 4)
            try values.withMutablePrefix(count) { target throws in
                try ElementType.f32.decode(raw.span.bytes, into: &target)
            }
            try values.withSpan { span throws in
                let own = span.extracting(first: count)
                sum += try VectorOperations.dot(own, own)
            }
            try values.withMutablePrefix(count) { target throws in VectorOperations.multiply(&target, by: scale) }
            try values.withSpan { span throws in try writer.append(span.extracting(first: count).bytes) }
            try input.progress.step()
        }
        return sum
    }

    private func numbers(_ slice: FileSlice, _ name: String, _ raw: inout [UInt8]) async throws -> [Double] {
        try await input.read(slice, into: &raw)
        try requireFinite(raw.span.bytes, in: slice.file, name)
        var numbers = [Double](repeating: 0, count: raw.count / 4)
        var span = numbers.mutableSpan
        try ElementType.f32.decode(raw.span.bytes, into: &span)
        return numbers
    }

    // MARK: - Checks

    private func requirePositive(_ squares: [Double], in part: ImportJointRowsOperation.Part) throws {
        guard squares.allSatisfy({ $0 >= 0 }) else {
            throw UnitError.badInput(
                "\(input.path(of: part.squares.file)): tensor \"\(squaresName)\" has a negative element; expected means of "
                    + "squares. Make the factors again.")
        }
    }

    /// Compares the sum of the task's mean squares with its factor.
    private func checkSquares(_ sum: Double) throws {
        let expected = try self.expected()
        let isPooled = operation.pooledRows != nil
        let excess = isPooled ? sum - expected.sum : abs(sum - expected.sum)
        guard excess > Self.tolerance * max(sum, expected.sum) else { return }
        let count = operation.parts.count
        let others = count > 1 ? " and \(count - 1) more" : ""
        throw UnitError.badInput(
            "\(input.path(of: operation.parts[0].squares.file))\(others): the elements of \"\(squaresName)\" sum to \(sum)"
                + "\(count > 1 ? ", weighed by samples" : ""); expected \(isPooled ? "at most " : "")\(expected.sum), "
                + "\(expected.reason). Make factors and joint rows again from the same samples.")
    }

    private func checkRows(
        _ sum: Double, of part: ImportJointRowsOperation.Part, within whole: Double
    ) throws {
        guard sum > (1 + Self.tolerance) * whole else { return }
        throw UnitError.badInput(
            "\(input.path(of: part.rows.file)): the squares of \"\(rowsName)\" sum to \(sum); expected at most "
                + "\(whole), the sum of \"\(squaresName)\". Make factors and joint rows again from the same samples.")
    }

    /// What the mean squares sum to, and why.
    private func expected() throws -> (sum: Double, reason: String) {
        let subject = input.lease.subject
        guard operation.content != .constant else { return (1, "the square of the constant") }
        guard let trace = input.lease.inputs.numbers.first?.first else {
            throw UnitError.malformedLease("the joint rows of \"\(subject)\" come without the trace of their factor")
        }
        guard operation.content == .inputs else {
            return (trace, "the trace of the gradients' factor of \"\(subject)\"")
        }
        if let rows = operation.pooledRows {
            return (rows * trace, "\(rows) rows of a sample times the trace of \"\(subject).A\"")
        }
        return (
            Double(operation.positions) * trace, "\(operation.positions) positions times the trace of \"\(subject).A\""
        )
    }

    private func requireFinite(_ bytes: RawSpan, in file: Int, _ name: String) throws {
        guard ElementType.f32.firstNonFinite(in: bytes) != nil else { return }
        throw UnitError.nonFinite(
            "\(input.path(of: file)): tensor \"\(name)\" holds NaN or infinity; expected finite values. Make the factors "
                + "again.")
    }

    // MARK: - Names

    private var rowsName: String { name("rows") }
    private var squaresName: String { name("squares") }

    private func name(_ ending: String) -> String {
        switch operation.content {
        case .inputs: "\(input.lease.subject).input_\(ending)"
        case .gradients: "\(input.lease.subject).gradient_\(ending)"
        case .constant: "input_\(ending)"
        }
    }
}
