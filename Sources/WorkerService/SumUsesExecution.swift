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
        operation.givesDouble ? try await runInDouble() : try await runInSingle()
    }

    private func runInSingle() async throws -> UnitResult {
        let (inputs, gradients) = sides
        let sum = try await coefficients(inputs, gradients, reading: Float.self)
        let factor = try write(inputs, sum.inputCoefficients)
        let gradient = try write(gradients, sum.gradientCoefficients)
        return UnitResult(
            blobs: [factor.blob, gradient.blob],
            measurements: [.trace: [factor.trace, gradient.trace], .relativeError: [sum.relativeError]])
    }

    /// Reads the factors as fp64; both sums are given in fp32, then in fp64.
    private func runInDouble() async throws -> UnitResult {
        let (inputs, gradients) = sides
        let sum = try await coefficients(inputs, gradients, reading: Double.self)
        let results = [
            try writeInDouble(inputs, sum.inputCoefficients), try writeInDouble(gradients, sum.gradientCoefficients),
        ]
        return UnitResult(
            blobs: results.map { $0.blobs[0] } + results.map { $0.blobs[1] },
            measurements: [
                .trace: results.flatMap { $0.measurements[.trace] ?? [] }, .relativeError: [sum.relativeError],
            ])
    }

    private var sides: (inputs: Side, gradients: Side) {
        let blobs = input.lease.inputs.blobs
        let inputs = Side(shape: operation.inputShape, factors: Array(blobs.prefix(operation.useCount)))
        let gradients = Side(shape: operation.gradientShape, factors: Array(blobs.suffix(operation.useCount)))
        return (inputs, gradients)
    }

    private func coefficients<Scalar: MatrixScalar>(
        _ inputs: Side, _ gradients: Side, reading type: Scalar.Type
    ) async throws -> SummedUses {
        let (inputProducts, inputTraces) = try await measure(inputs, type)
        let (gradientProducts, _) = try await measure(gradients, type)
        return try SummedUses(gradients: gradientProducts, inputs: inputProducts, inputTraces: inputTraces)
    }

    private func measure<Scalar: MatrixScalar>(
        _ side: Side, _ type: Scalar.Type
    ) async throws -> (products: FactorInnerProducts, traces: [Double]) {
        for factor in side.factors { try input.blobs.requireFactor(factor, of: Scalar.self, side.shape) }
        try await input.blobs.prepare(side.factors)
        var products = FactorInnerProducts(taskCount: side.factors.count)
        var traces = [Double](repeating: 0, count: side.factors.count)
        try forEachRange(of: side, Scalar.self) { range, rows throws in
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
        try forEachRange(of: side, Float.self) { range, rows throws in
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

    private func writeInDouble(_ side: Side, _ coefficients: [Double]) throws -> UnitResult {
        var writer = try FactorWriter(
            side.shape, capacity: PackedRanges.elements, givesDouble: true, place: "\(input.lease.title): ",
            blobs: input.blobs)
        var total = try Matrix<Double>(rows: 1, columns: PackedRanges.elements)
        try forEachRange(of: side, Double.self) { range, rows throws in
            total.clearPrefix(range.count)
            try rows.withSpan { rows throws in
                try total.withMutablePrefix(range.count) { sum throws in
                    for (use, coefficient) in coefficients.enumerated() where coefficient != 0 {
                        try VectorOperations.add(rows.extracting(row(use, range)), times: coefficient, to: &sum)
                    }
                }
            }
            try total.withSpan { try writer.append($0.extracting(first: range.count), at: range.lowerBound) }
        }
        return try writer.finish()
    }

    /// Reads a range of all factors of a side at a time, one row for each use.
    private func forEachRange<Scalar: MatrixScalar>(
        of side: Side, _ type: Scalar.Type, _ body: (Range<Int>, borrowing Matrix<Scalar>) throws -> Void
    ) throws {
        var rows = try Matrix<Scalar>(rows: side.factors.count, columns: PackedRanges.elements)
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
