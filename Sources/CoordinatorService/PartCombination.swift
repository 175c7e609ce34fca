import BlobStore
import Identifiers
import JobPlan
import KroneckerFactors
import LinearAlgebra

/// Adds the partial sums of a giant factor, in the order of their rows, and divides.
struct PartCombination {
    let operation: CombineOperation
    let blobs: PackedBlobs

    /// Streams the parts through small buffers.
    ///
    /// - Parameter parts: The operation's parts as blobs, in its order.
    /// - Returns: The factor, with its trace.
    /// - Throws: `BlobStoreError`, `KroneckerFactorsError`.
    func run(parts: [BlobReference]) throws -> UnitResult {
        var part = try Matrix<Double>(rows: 1, columns: PackedBlobs.rangeElements)
        var total = try Matrix<Double>(rows: 1, columns: PackedBlobs.rangeElements)
        var factor = try Matrix<Float>(rows: 1, columns: PackedBlobs.rangeElements)
        let writer = try blobs.store.beginWrite()
        var trace = 0.0
        for range in try PackedBlobs.ranges(dimension: operation.dimension) {
            for (position, blob) in parts.enumerated() {
                guard position > 0 else {
                    try blobs.read(blob, range, intoRow: 0, of: &total)
                    continue
                }
                try blobs.read(blob, range, intoRow: 0, of: &part)
                try part.withSpan { part throws in
                    try total.withMutablePrefix(range.count) { total throws in
                        try PartialSums.add(part.extracting(first: range.count), to: &total)
                    }
                }
            }
            try total.withSpan { total throws in
                try factor.withMutablePrefix(range.count) { factor throws in
                    try PartialSums.normalize(
                        total.extracting(first: range.count), divisor: operation.divisor,
                        firstElement: range.lowerBound, into: &factor)
                }
            }
            try factor.withSpan { factor throws in
                let elements = factor.extracting(first: range.count)
                PackedTriangle.forEachDiagonal(in: range) { trace += Double(elements[$0]) }
                try writer.append(elements.bytes)
            }
        }
        let byteCount = writer.byteCount
        let digest = try writer.finish()
        return UnitResult(
            blobs: [BlobReference(digest: digest, byteCount: UInt64(byteCount))], measurements: [.trace: [trace]])
    }
}
