import Identifiers
import LinearAlgebra
import UnitOperations
import WireProtocol

extension BalanceOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await BalanceExecution(operation: self, input: input).run()
    }
}

/// Multiplies B by the scalar that balances its layer, in ranges of the stored elements.
///
/// Source: DESIGN section 2.1.
struct BalanceExecution {
    let operation: BalanceOperation
    let input: InputReader

    /// Finds the scalar, and multiplies.
    ///
    /// - Throws: ``UnitError/badInput(_:)`` without a scalar, or for a B that fp32 cannot hold, or what reading throws.
    func run() async throws -> UnitResult {
        operation.givesDouble ? try await run(reading: Double.self) : try await run(reading: Float.self)
    }

    private func run<Scalar: MatrixScalar>(reading type: Scalar.Type) async throws -> UnitResult {
        let scalar = try scalar()
        let (factor, shape) = (input.lease.inputs.blobs[0], operation.shape)
        try input.blobs.requireFactor(factor, of: Scalar.self, shape)
        try await input.blobs.prepare([factor])
        var elements = try Matrix<Scalar>(rows: 1, columns: PackedRanges.elements)
        var writer = try FactorWriter(
            shape, capacity: PackedRanges.elements, givesDouble: operation.givesDouble,
            place: "\(input.lease.title): ", blobs: input.blobs)
        var scaled = [Double](repeating: 0, count: PackedRanges.elements)
        for range in try PackedRanges.ranges(of: shape) {
            try input.blobs.read(factor, range, intoRow: 0, of: &elements)
            try elements.withSpan { span throws in
                for index in 0..<range.count { scaled[index] = scalar * Double(span[index]) }
            }
            try writer.append(scaled.span.extracting(first: range.count), at: range.lowerBound)
            try input.progress.step()
        }
        var result = try writer.finish()
        result.measurements[.balance] = [scalar]
        return result
    }

    private func scalar() throws -> Double {
        guard case .measured(let measured) = operation.scalar else {
            if case .stated(let scalar) = operation.scalar { return scalar }
            return 1
        }
        let numbers = input.lease.inputs.numbers
        let exact = numbers.dropFirst(2).reduce(measured.known) { $0 + ($1.first ?? .nan) }
        guard numbers[0].indices.contains(measured.inputPlace), numbers[1].indices.contains(measured.gradientPlace),
            exact.isFinite
        else { throw UnitError.malformedLease("a trace of \"\(input.lease.subject)\" is missing") }
        let product = numbers[0][measured.inputPlace] * numbers[1][measured.gradientPlace]
        // Without inputs or gradients there is nothing to scale.
        if product == 0, exact == 0 { return 1 }
        let scalar = exact / product
        guard scalar.isFinite, scalar > 0 else {
            throw UnitError.badInput(
                "\(input.lease.title): the exact trace of layer \"\(input.lease.subject)\" is \(exact), but tr(A) tr(B) is "
                    + "\(product), so no scalar balances it. Correct \"exact_trace\" where a file states it, use the "
                    + "normalization \"expand\", write \"balance: none\", or leave the layer out with \"layers\".")
        }
        return scalar
    }
}
