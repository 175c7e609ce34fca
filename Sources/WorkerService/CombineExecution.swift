import KroneckerFactors
import LinearAlgebra
import UnitOperations
import WireProtocol

extension CombineOperation: ExecutableOperation {
    func execute(_ input: InputReader, _ scratch: inout LaneScratch) async throws -> UnitResult {
        try await CombineExecution(operation: self, input: input).run()
    }
}

/// Adds the partial sums of a giant factor in the order of their rows, and divides.
struct CombineExecution {
    let operation: CombineOperation
    let input: InputReader

    /// Streams the parts through small buffers.
    ///
    /// - Throws: ``UnitError/badInput(_:)`` for a factor that fp32 cannot hold, or what reading throws.
    func run() async throws -> UnitResult {
        let parts = input.lease.inputs.blobs
        for part in parts {
            try input.blobs.requireFactor(part, of: Double.self, operation.shape)
        }
        try await input.blobs.prepare(parts)
        var part = try Matrix<Double>(rows: 1, columns: PackedRanges.elements)
        var total = try Matrix<Double>(rows: 1, columns: PackedRanges.elements)
        var factor = try Matrix<Float>(rows: 1, columns: PackedRanges.elements)
        let writer = try input.blobs.beginWrite(byteCount: try PackedRanges.byteCount(of: operation.shape))
        var trace = 0.0
        for range in try PackedRanges.ranges(of: operation.shape) {
            for (position, blob) in parts.enumerated() {
                guard position > 0 else {
                    try input.blobs.read(blob, range, intoRow: 0, of: &total)
                    continue
                }
                try input.blobs.read(blob, range, intoRow: 0, of: &part)
                try part.withSpan { part throws in
                    try total.withMutablePrefix(range.count) { total throws in
                        try PartialSums.add(part.extracting(first: range.count), to: &total)
                    }
                }
            }
            try normalize(total, range, into: &factor)
            try factor.withSpan { factor throws in
                let elements = factor.extracting(first: range.count)
                operation.shape.forEachDiagonal(in: range) { trace += Double(elements[$0]) }
                try writer.append(elements.bytes)
            }
        }
        return UnitResult(blobs: [try input.blobs.finish(writer)], measurements: [.trace: [trace]])
    }

    private func normalize(
        _ total: borrowing Matrix<Double>, _ range: Range<Int>, into factor: inout Matrix<Float>
    ) throws {
        do {
            try total.withSpan { total throws in
                try factor.withMutablePrefix(range.count) { factor throws in
                    try PartialSums.normalize(
                        total.extracting(first: range.count), divisor: operation.divisor,
                        firstElement: range.lowerBound, of: operation.shape, into: &factor)
                }
            }
        } catch let error as KroneckerFactorsError where error.isBadInput {
            throw UnitError.badInput("\(input.lease.title): \(error)")
        }
    }
}
