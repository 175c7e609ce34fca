import Identifiers
import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

extension SumUsesOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await SumUsesExecution(operation: self, input: input).run()
    }
}

/// Sums the factors of several uses of one weight into one product, in ranges of the stored elements.
///
/// Source: DESIGN section 2.1.
struct SumUsesExecution {
    let operation: SumUsesOperation
    let input: InputReader

    /// The factors of one side.
    private struct Side {
        let shape: SymmetricShape
        let factors: [BlobReference]
    }

    /// Measures the factors, and sums them with the coefficients that follow.
    ///
    /// - Throws: `KroneckerFactorsError` for factors that are not finite, or what reading throws.
    func run() async throws -> UnitResult {
        let blobs = input.lease.inputs.blobs
        let inputs = Side(shape: operation.inputShape, factors: Array(blobs.prefix(operation.useCount)))
        let gradients = Side(shape: operation.gradientShape, factors: Array(blobs.suffix(operation.useCount)))
        let (inputProducts, inputTraces) = try await measure(inputs)
        let (gradientProducts, _) = try await measure(gradients)
        let sum = try SummedUses(gradients: gradientProducts, inputs: inputProducts, inputTraces: inputTraces)
        let factor = try write(inputs, sum.inputCoefficients)
        let gradient = try write(gradients, sum.gradientCoefficients)
        return UnitResult(
            blobs: [factor.blob, gradient.blob],
            measurements: [.trace: [factor.trace, gradient.trace], .relativeError: [sum.relativeError]])
    }

    private func measure(_ side: Side) async throws -> (products: FactorInnerProducts, traces: [Double]) {
        for factor in side.factors { try input.blobs.requireFactor(factor, of: Float.self, side.shape) }
        try await input.blobs.prepare(side.factors)
        var products = FactorInnerProducts(taskCount: side.factors.count)
        var traces = [Double](repeating: 0, count: side.factors.count)
        try forEachRange(of: side) { range, rows throws in
            try rows.withSpan { rows throws in
                for use in side.factors.indices {
                    let own = rows.extracting(row(use, range))
                    side.shape.forEachDiagonal(in: range) { traces[use] += Double(own[$0]) }
                    for other in 0...use {
                        try products.add(
                            own, rows.extracting(row(other, range)), tasks: use, other, firstElement: range.lowerBound,
                            of: side.shape)
                    }
                }
            }
        }
        return (products, traces)
    }

    private func write(_ side: Side, _ coefficients: [Double]) throws -> (blob: BlobReference, trace: Double) {
        let writer = try input.blobs.beginWrite(byteCount: try PackedRanges.byteCount(of: side.shape))
        var sum = try Matrix<Float>(rows: 1, columns: PackedRanges.elements)
        var trace = 0.0
        try forEachRange(of: side) { range, rows throws in
            var totals = try RegularizerTotals(of: side.shape, firstElement: range.lowerBound, count: range.count)
            try rows.withSpan { rows throws in
                for (use, coefficient) in coefficients.enumerated() where coefficient != 0 {
                    try totals.add(rows.extracting(row(use, range)), times: coefficient)
                }
            }
            try sum.withMutablePrefix(range.count) { span throws in try totals.write(scale: 1, into: &span) }
            try sum.withSpan { span throws in
                let elements = span.extracting(first: range.count)
                side.shape.forEachDiagonal(in: range) { trace += Double(elements[$0]) }
                try writer.append(elements.bytes)
            }
        }
        return (try input.blobs.finish(writer), trace)
    }

    /// Reads a range of all factors of a side at a time, one row for each use.
    private func forEachRange(of side: Side, _ body: (Range<Int>, borrowing Matrix<Float>) throws -> Void) throws {
        var rows = try Matrix<Float>(rows: side.factors.count, columns: PackedRanges.elements)
        for range in try PackedRanges.ranges(of: side.shape) {
            for (use, blob) in side.factors.enumerated() { try input.blobs.read(blob, range, intoRow: use, of: &rows) }
            try body(range, rows)
            try input.progress.step()
        }
    }

    private func row(_ use: Int, _ range: Range<Int>) -> Range<Int> {
        let start = use * PackedRanges.elements
        return start..<start + range.count
    }
}
