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
        var writer = try FactorWriter(
            operation.shape, capacity: PackedRanges.elements, divisor: operation.divisor,
            givesDouble: operation.givesDouble, place: "\(input.lease.title): ", blobs: input.blobs)
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
            try total.withSpan { try writer.append($0.extracting(first: range.count), at: range.lowerBound) }
        }
        return try writer.finish()
    }
}
