import Identifiers
import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

extension OptimalAccumulateOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await OptimalAccumulateExecution(operation: self, input: input).run()
    }
}

/// Sums a layer's factors over tasks into the optimal form for every target, in ranges of the stored elements.
///
/// Source: DESIGN section 2.2, form `optimal`.
struct OptimalAccumulateExecution {
    let operation: OptimalAccumulateOperation
    let input: InputReader

    /// Computes the coefficients and the sums.
    ///
    /// - Throws: `KroneckerFactorsError` for invalid weights, or what reading throws.
    func run() async throws -> UnitResult {
        let (inputSide, gradientSide) = try sides()
        for side in [inputSide, gradientSide] {
            for factor in side.factors {
                try input.blobs.requireFactor(factor, of: Float.self, side.shape)
            }
        }
        let weights = try RegularizerWeights(operation.weights, scale: operation.scale)
        let solutions = try operation.exclusions.map { excluded in
            try OptimalAccumulation(
                gradients: gradientSide.products, inputs: inputSide.products,
                lambdas: weights.lambdas(excluding: excluded),
                rank: operation.rank, scale: operation.scale)
        }
        let terms = solutions.flatMap(\.terms)
        var result = UnitResult()
        result.blobs += try await sums(of: inputSide, terms.map(\.inputCoefficients))
        result.blobs += try await sums(of: gradientSide, terms.map(\.gradientCoefficients))
        result.measurements = [
            .coefficients: terms.flatMap { $0.gradientCoefficients + $0.inputCoefficients },
            .relativeError: solutions.map(\.relativeError),
        ]
        return result
    }

    /// The sums of one side.
    private struct Side {
        let shape: SymmetricShape
        let factors: [BlobReference]
        let products: FactorInnerProducts
    }

    private func sides() throws -> (input: Side, gradient: Side) {
        let (inputs, count) = (input.lease.inputs, operation.weights.count)
        guard let inputProducts = FactorInnerProducts(taskCount: count, products: inputs.numbers[0]),
            let gradientProducts = FactorInnerProducts(taskCount: count, products: inputs.numbers[1])
        else { throw UnitError.malformedLease("the factors' inner products are missing") }
        return (
            Side(
                shape: operation.inputShape, factors: Array(inputs.blobs.prefix(count)),
                products: inputProducts),
            Side(
                shape: operation.gradientShape, factors: Array(inputs.blobs.suffix(count)),
                products: gradientProducts)
        )
    }

    /// The sums that are written at a time, each with an open file; the factors are read once for all of them.
    private static let openSumLimit = 64

    /// Σ c_t X_t in fp64, rounded once to fp32, for each list of coefficients.
    private func sums(
        of side: Side, _ coefficients: [[Double]]
    ) async throws -> [BlobReference] {
        try await input.blobs.prepare(side.factors)
        return try stride(from: 0, to: coefficients.count, by: Self.openSumLimit).flatMap { first in
            let end = min(coefficients.count, first + Self.openSumLimit)
            return try openSums(of: side, Array(coefficients[first..<end]))
        }
    }

    private func openSums(
        of side: Side, _ coefficients: [[Double]]
    ) throws -> [BlobReference] {
        let byteCount = try PackedRanges.byteCount(of: side.shape)
        let writers = try coefficients.map { _ in try input.blobs.beginWrite(byteCount: byteCount) }
        var rows = try Matrix<Float>(rows: side.factors.count, columns: PackedRanges.elements)
        var sum = try Matrix<Float>(rows: 1, columns: PackedRanges.elements)
        for range in try PackedRanges.ranges(of: side.shape) {
            for (task, blob) in side.factors.enumerated() {
                try input.blobs.read(blob, range, intoRow: task, of: &rows)
            }
            for (writer, coefficients) in zip(writers, coefficients) {
                var totals = try RegularizerTotals(
                    of: side.shape, firstElement: range.lowerBound, count: range.count)
                try rows.withSpan { rows throws in
                    for (task, coefficient) in coefficients.enumerated() where coefficient != 0 {
                        let start = task * PackedRanges.elements
                        try totals.add(rows.extracting(start..<start + range.count), times: coefficient)
                    }
                }
                try sum.withMutablePrefix(range.count) { span throws in try totals.write(scale: 1, into: &span) }
                try sum.withSpan { span throws in try writer.append(span.extracting(first: range.count).bytes) }
            }
            try input.progress.step()
        }
        return try writers.map { try input.blobs.finish($0) }
    }
}
