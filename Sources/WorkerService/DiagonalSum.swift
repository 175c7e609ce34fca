import LinearAlgebra
import UnitOperations
import WireProtocol

/// The sum of stored diagonals of one factor: one of a finished set, or partial sums of several files.
struct DiagonalSum {
    let dimension: Int
    let elementType: ElementType
    /// The places of the diagonals, in the order of the sum.
    let slices: [FileSlice]
    let input: InputReader

    /// Adds the diagonals in fp64, in the order of the slices.
    ///
    /// - Parameters:
    ///   - flawError: The error of a diagonal that is not a factor's.
    ///   - raw: The lane's bytes.
    /// - Returns: The sum.
    /// - Throws: ``UnitError/malformedLease(_:)`` for a slice of another length, the flaw's error, or what reading
    ///   throws.
    func total(
        flawError: (FactorFlaw, FileSlice) -> UnitError, _ raw: inout [UInt8]
    ) async throws -> PackedSymmetricMatrix<Double> {
        var total = try PackedSymmetricMatrix<Double>(shape: .diagonal(dimension))
        var part = [Double](repeating: 0, count: dimension)
        for slice in slices {
            guard slice.byteCount == UInt64(dimension) * UInt64(elementType.byteCount) else {
                throw UnitError.malformedLease(
                    "a diagonal of \"\(input.lease.subject)\" has \(slice.byteCount) bytes for dimension \(dimension)")
            }
            try await input.read(slice, into: &raw)
            var span = part.mutableSpan
            try elementType.decode(raw.span.bytes, into: &span)
            if let flaw = SemidefiniteCheck.flaw(inDiagonal: part.span) { throw flawError(flaw, slice) }
            try total.withMutableSpan { total throws in try VectorOperations.add(part.span, to: &total) }
        }
        return total
    }

    /// Stores the sum divided by a number, as fp32.
    ///
    /// - Parameters:
    ///   - total: The sum.
    ///   - divisor: Its divisor.
    ///   - givesDouble: Whether it is also stored as fp64.
    ///   - place: The factor in words, for messages.
    /// - Returns: The factor, with its trace.
    /// - Throws: ``UnitError/badInput(_:)`` for a factor that fp32 cannot hold.
    func store(
        _ total: borrowing PackedSymmetricMatrix<Double>, dividedBy divisor: Double = 1, givesDouble: Bool,
        place: String
    ) throws -> UnitResult {
        var writer = try FactorWriter(
            .diagonal(dimension), capacity: dimension, divisor: divisor, givesDouble: givesDouble, place: place,
            blobs: input.blobs)
        try writer.append(total)
        return try writer.finish()
    }
}
