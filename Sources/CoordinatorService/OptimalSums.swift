import BlobStore
import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra

/// Sums a layer's factors over tasks into the optimal form for every target, in ranges of the packed triangles.
///
/// Source: DESIGN section 2.2, form `optimal`.
struct OptimalSums {
    let operation: OptimalAccumulateOperation
    let scale: RegularizerScale
    let blobs: PackedBlobs

    /// A side's factors as blobs, and what was measured of them.
    struct Side {
        let factors: [BlobReference]
        let products: FactorInnerProducts
    }

    /// Finds the coefficients, and sums.
    ///
    /// - Returns: The blobs in the operation's order, the coefficients and the errors.
    /// - Throws: `BlobStoreError`, `KroneckerFactorsError`.
    func run(input: Side, gradient: Side) throws -> UnitResult {
        let tasks = operation.input.tasks
        let weights = try RegularizerWeights(tasks.map(\.weight), scale: scale)
        let solutions = try operation.targets.map { target in
            try OptimalAccumulation(
                gradients: gradient.products, inputs: input.products,
                lambdas: weights.lambdas(excluding: tasks.firstIndex { !target.includes($0.task) }),
                rank: operation.rank, scale: scale)
        }
        let terms = solutions.flatMap(\.terms)
        var result = UnitResult()
        result.blobs += try sums(of: input.factors, operation.input.dimension, terms.map(\.inputCoefficients))
        result.blobs += try sums(of: gradient.factors, operation.gradient.dimension, terms.map(\.gradientCoefficients))
        result.measurements = [
            .coefficients: terms.flatMap { $0.gradientCoefficients + $0.inputCoefficients },
            .relativeError: solutions.map(\.relativeError),
        ]
        return result
    }

    /// Sums that are written at a time, each with an open file: the factors are read once for all of them.
    private static let openSumLimit = 64

    /// Σ c_t X_t in fp64, rounded once to fp32, for each list of coefficients.
    private func sums(
        of factors: [BlobReference], _ dimension: Int, _ coefficients: [[Double]]
    ) throws -> [BlobReference] {
        try stride(from: 0, to: coefficients.count, by: Self.openSumLimit).flatMap { first in
            let end = min(coefficients.count, first + Self.openSumLimit)
            return try openSums(of: factors, dimension, Array(coefficients[first..<end]))
        }
    }

    private func openSums(
        of factors: [BlobReference], _ dimension: Int, _ coefficients: [[Double]]
    ) throws -> [BlobReference] {
        let writers = try coefficients.map { _ in try blobs.store.beginWrite() }
        var rows = try Matrix<Float>(rows: factors.count, columns: PackedBlobs.rangeElements)
        var sum = try Matrix<Float>(rows: 1, columns: PackedBlobs.rangeElements)
        for range in try PackedBlobs.ranges(dimension: dimension) {
            for (task, blob) in factors.enumerated() { try blobs.read(blob, range, intoRow: task, of: &rows) }
            for (writer, coefficients) in zip(writers, coefficients) {
                var totals = try RegularizerTotals(firstElement: range.lowerBound, count: range.count)
                try rows.withSpan { rows throws in
                    for (task, coefficient) in coefficients.enumerated() where coefficient != 0 {
                        let start = task * PackedBlobs.rangeElements
                        try totals.add(rows.extracting(start..<start + range.count), times: coefficient)
                    }
                }
                try sum.withMutablePrefix(range.count) { span throws in try totals.write(scale: 1, into: &span) }
                try sum.withSpan { span throws in try writer.append(span.extracting(first: range.count).bytes) }
            }
        }
        return try writers.map { writer in
            let byteCount = UInt64(writer.byteCount)
            return BlobReference(digest: try writer.finish(), byteCount: byteCount)
        }
    }
}
