import LinearAlgebra
import UnitOperations
import WireProtocol

extension ImportJointRowsOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await ImportJointRowsExecution(operation: self, input: input).run(&scratch)
    }
}

/// Copies the joint rows of a finished set, and checks that they are finite.
struct ImportJointRowsExecution {
    let operation: ImportJointRowsOperation
    let input: InputReader

    /// Bytes that are read at a time.
    private static let pieceBytes = 4 << 20

    /// Reads the tensors once.
    ///
    /// - Throws: ``UnitError/nonFinite(_:)`` for NaN or infinity, ``UnitError/badInput(_:)`` for negative squares, or
    ///   what reading throws.
    func run(_ scratch: inout LaneScratch) async throws -> UnitResult {
        let numbers = try await self.numbers(&scratch.raw)
        guard let rows = operation.rows else { return UnitResult(measurements: [.constantRows: numbers]) }
        guard numbers.allSatisfy({ $0 >= 0 }) else {
            throw UnitError.badInput(
                "\(input.path(of: operation.numbers.file)): the squares of the joint rows of \"\(input.lease.subject)\" are "
                    + "negative; expected means of squares. Make the factors again.")
        }
        let writer = try input.blobs.beginWrite(byteCount: rows.byteCount)
        for first in stride(from: 0, to: rows.byteCount, by: Self.pieceBytes) {
            let piece = FileSlice(
                file: rows.file, offset: rows.offset + first,
                byteCount: min(UInt64(Self.pieceBytes), rows.byteCount - first))
            try await input.read(piece, into: &scratch.raw)
            try requireFinite(scratch.raw.span.bytes, in: rows.file)
            try writer.append(scratch.raw.span.bytes)
            try input.progress.step()
        }
        return UnitResult(blobs: [try input.blobs.finish(writer)], measurements: [.positionSquares: numbers])
    }

    private func numbers(_ raw: inout [UInt8]) async throws -> [Double] {
        try await input.read(operation.numbers, into: &raw)
        try requireFinite(raw.span.bytes, in: operation.numbers.file)
        var numbers = [Double](repeating: 0, count: raw.count / 4)
        var span = numbers.mutableSpan
        try ElementType.f32.decode(raw.span.bytes, into: &span)
        return numbers
    }

    private func requireFinite(_ bytes: RawSpan, in file: Int) throws {
        guard ElementType.f32.firstNonFinite(in: bytes) != nil else { return }
        throw UnitError.nonFinite(
            "\(input.path(of: file)): the joint rows of \"\(input.lease.subject)\" hold NaN or infinity; expected finite "
                + "values. Make the factors again.")
    }
}
