import JobPlan
import KroneckerFactors
import LinearAlgebra
import WireProtocol

/// Sums a layer's factors over tasks into the optimal form for every target, in ranges of the packed triangles.
///
/// Source: DESIGN section 2.2, form `optimal`.
struct OptimalAccumulateExecution {
    let operation: OptimalAccumulateOperation<LeasedBlob>
    let input: InputReader

    /// Computes the coefficients and the sums.
    ///
    /// - Throws: `KroneckerFactorsError` for invalid weights, or what reading throws.
    func run() async throws -> UnitResult {
        let (inputProducts, gradientProducts) = (try products(operation.input), try products(operation.gradient))
        for side in [operation.input, operation.gradient] {
            for factor in side.factors {
                try input.blobs.requireTriangle(factor, of: Float.self, dimension: side.dimension)
            }
        }
        let weights = try RegularizerWeights(operation.weights, scale: operation.scale)
        let solutions = try operation.exclusions.map { excluded in
            try OptimalAccumulation(
                gradients: gradientProducts, inputs: inputProducts, lambdas: weights.lambdas(excluding: excluded),
                rank: operation.rank, scale: operation.scale)
        }
        let terms = solutions.flatMap(\.terms)
        var result = UnitResult()
        result.blobs += try await sums(of: operation.input, terms.map(\.inputCoefficients))
        result.blobs += try await sums(of: operation.gradient, terms.map(\.gradientCoefficients))
        result.measurements = [
            .coefficients: terms.flatMap { $0.gradientCoefficients + $0.inputCoefficients },
            .relativeError: solutions.map(\.relativeError),
        ]
        return result
    }

    private func products(_ side: OptimalAccumulateOperation<LeasedBlob>.Side) throws -> FactorInnerProducts {
        guard case .values(let values) = side.products,
            let products = FactorInnerProducts(taskCount: side.factors.count, products: values)
        else { throw UnitError.malformedLease("the factors' inner products are missing") }
        return products
    }

    /// The sums that are written at a time, each with an open file; the factors are read once for all of them.
    private static let openSumLimit = 64

    /// Σ c_t X_t in fp64, rounded once to fp32, for each list of coefficients.
    private func sums(
        of side: OptimalAccumulateOperation<LeasedBlob>.Side, _ coefficients: [[Double]]
    ) async throws -> [BlobReference] {
        try await input.blobs.prepare(side.factors)
        return try stride(from: 0, to: coefficients.count, by: Self.openSumLimit).flatMap { first in
            let end = min(coefficients.count, first + Self.openSumLimit)
            return try openSums(of: side, Array(coefficients[first..<end]))
        }
    }

    private func openSums(
        of side: OptimalAccumulateOperation<LeasedBlob>.Side, _ coefficients: [[Double]]
    ) throws -> [BlobReference] {
        let byteCount = try PackedRanges.byteCount(dimension: side.dimension)
        let writers = try coefficients.map { _ in try input.blobs.beginWrite(byteCount: byteCount) }
        var rows = try Matrix<Float>(rows: side.factors.count, columns: PackedRanges.elements)
        var sum = try Matrix<Float>(rows: 1, columns: PackedRanges.elements)
        for range in try PackedRanges.ranges(dimension: side.dimension) {
            for (task, blob) in side.factors.enumerated() {
                try input.blobs.read(blob, range, intoRow: task, of: &rows)
            }
            for (writer, coefficients) in zip(writers, coefficients) {
                var totals = try RegularizerTotals(firstElement: range.lowerBound, count: range.count)
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
