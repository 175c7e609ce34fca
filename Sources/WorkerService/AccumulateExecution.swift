import Identifiers
import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

extension AccumulateOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await AccumulateExecution(operation: self, input: input).run()
    }
}

/// Sums one factor over tasks for every target, in ranges of the stored elements, so that memory holds only ranges.
///
/// Source: DESIGN section 2.2 (paper eq. 8).
struct AccumulateExecution {
    let operation: AccumulateOperation
    let input: InputReader

    /// The state of one target's factor between ranges.
    private struct Target {
        let excluded: Int?
        let scale: Double
        let writer: CacheWriter
        var certificate: SubtractionCertificate
        var trace = 0.0
    }

    private var side: FactorSide { operation.side }
    private var factors: [BlobReference] { input.lease.inputs.blobs }

    /// Sums, and measures the traces and the tasks' inner products.
    ///
    /// - Throws: `KroneckerFactorsError` for invalid weights, or what reading throws.
    func run() async throws -> UnitResult {
        for factor in factors {
            try input.blobs.requireFactor(factor, of: Float.self, operation.shape)
        }
        try await input.blobs.prepare(factors)
        let weights = try RegularizerWeights(operation.weights, scale: operation.scale)
        var targets = try operation.exclusions.map { excluded in
            Target(
                excluded: excluded, scale: try weights.scale(of: side, excluding: excluded),
                writer: try beginWrite(), certificate: SubtractionCertificate(taskCount: factors.count))
        }
        var products = FactorInnerProducts(taskCount: factors.count)
        var rows = try Matrix<Float>(rows: factors.count, columns: PackedRanges.elements)
        var result = try Matrix<Float>(rows: 1, columns: PackedRanges.elements)
        for range in try PackedRanges.ranges(of: operation.shape) {
            for (task, blob) in factors.enumerated() { try input.blobs.read(blob, range, intoRow: task, of: &rows) }
            try rows.withSpan { rows throws in
                func row(_ task: Int) -> Range<Int> {
                    let start = task * PackedRanges.elements
                    return start..<start + range.count
                }
                var totals = try RegularizerTotals(
                    of: operation.shape, firstElement: range.lowerBound, count: range.count)
                for task in factors.indices {
                    try totals.add(rows.extracting(row(task)), times: weights.coefficient(ofTask: task, side: side))
                    for other in 0...task {
                        try products.add(
                            rows.extracting(row(task)), rows.extracting(row(other)), tasks: task, other,
                            firstElement: range.lowerBound, of: operation.shape)
                    }
                }
                for index in targets.indices {
                    let target = targets[index]
                    try result.withMutablePrefix(range.count) { span throws in
                        guard let excluded = target.excluded else {
                            try totals.write(scale: target.scale, into: &span)
                            return
                        }
                        try totals.writeRemainder(
                            without: rows.extracting(row(excluded)),
                            times: weights.coefficient(ofTask: excluded, side: side),
                            scale: target.scale, into: &span, certificate: &targets[index].certificate)
                    }
                    try append(result, range, to: &targets[index])
                }
            }
            try input.progress.step()
        }
        return try finish(targets, products, weights)
    }

    private func beginWrite() throws -> CacheWriter {
        try input.blobs.beginWrite(byteCount: try PackedRanges.byteCount(of: operation.shape))
    }

    private func append(_ result: borrowing Matrix<Float>, _ range: Range<Int>, to target: inout Target) throws {
        var trace = 0.0
        try result.withSpan { span throws in
            let elements = span.extracting(first: range.count)
            operation.shape.forEachDiagonal(in: range) { trace += Double(elements[$0]) }
            try target.writer.append(elements.bytes)
        }
        target.trace += trace
    }

    private func finish(
        _ targets: [Target], _ products: FactorInnerProducts, _ weights: RegularizerWeights
    ) throws -> UnitResult {
        var result = UnitResult()
        var traces: [Double] = []
        var afresh: [Double] = []
        for target in targets {
            var target = target
            let isAfresh = target.excluded != nil && !target.certificate.isValid
            if isAfresh { target = try summedAfresh(target, weights) }
            result.blobs.append(try input.blobs.finish(target.writer))
            traces.append(target.trace)
            afresh.append(isAfresh ? 1 : 0)
        }
        if !targets.isEmpty { result.measurements = [.trace: traces, .summedAfresh: afresh] }
        result.measurements[.innerProducts] = factors.indices.flatMap { first in
            factors.indices.map { products[first, $0] }
        }
        return result
    }

    /// The target's factor, summed without subtraction when one task dwarfs the others.
    private func summedAfresh(_ rejected: Target, _ weights: RegularizerWeights) throws -> Target {
        // The rejected writer's room is freed first, because the new one takes as much.
        rejected.writer.abandon()
        var target = Target(
            excluded: rejected.excluded, scale: rejected.scale, writer: try beginWrite(),
            certificate: rejected.certificate)
        var row = try Matrix<Float>(rows: 1, columns: PackedRanges.elements)
        for range in try PackedRanges.ranges(of: operation.shape) {
            var totals = try RegularizerTotals(
                of: operation.shape, firstElement: range.lowerBound, count: range.count)
            for (task, blob) in factors.enumerated() where task != target.excluded {
                try input.blobs.read(blob, range, intoRow: 0, of: &row)
                try row.withSpan { row throws in
                    try totals.add(
                        row.extracting(first: range.count), times: weights.coefficient(ofTask: task, side: side))
                }
            }
            try row.withMutablePrefix(range.count) { span throws in
                try totals.write(scale: target.scale, into: &span)
            }
            try append(row, range, to: &target)
        }
        return target
    }
}
