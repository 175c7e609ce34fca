import BlobStore
import Identifiers
import JobPlan
import LinearAlgebra
import Safetensors

/// Brings a factor of a finished set into the form in which factors travel: a packed fp32 triangle.
struct FactorImport {
    let factor: FactorSetInventory.Factor
    let title: String
    let blobs: PackedBlobs

    /// Reads row by row; of a square only the lower triangle is kept.
    ///
    /// - Throws: ``CoordinatorWorkError/badInput(_:)`` for a factor that holds NaN or infinity; `SafetensorsError`.
    func run(inputs: JobInputs) throws -> UnitResult {
        let file = inputs.files[factor.slice.file]
        let writer = try blobs.store.beginWrite()
        let size = factor.elementType.byteCount
        var row = try Matrix<Float>(rows: 1, columns: factor.dimension)
        var trace = 0.0
        var offset = Int(factor.slice.offset)
        for index in 0..<factor.dimension {
            var bytes = [UInt8](repeating: 0, count: (index + 1) * size)
            do {
                var span = bytes.mutableSpan
                var raw = span.mutableBytes
                try file.read(fromFileOffset: offset, into: &raw)
            }
            offset += (factor.isPacked ? index + 1 : factor.dimension) * size
            try row.withMutablePrefix(index + 1) { span throws in
                try factor.elementType.decode(bytes.span.bytes, into: &span)
            }
            var isFinite = true
            try row.withSpan { span throws in
                let elements = span.extracting(first: index + 1)
                for column in elements.indices where !elements[column].isFinite { isFinite = false }
                trace += Double(elements[index])
                try writer.append(elements.bytes)
            }
            guard isFinite else {
                throw CoordinatorWorkError.badInput(
                    "\(file.path): \(title): row \(index) holds NaN or infinity; expected finite values. Compute the "
                        + "factor again.")
            }
        }
        let byteCount = writer.byteCount
        let digest = try writer.finish()
        return UnitResult(
            blobs: [BlobReference(digest: digest, byteCount: UInt64(byteCount))], measurements: [.trace: [trace]])
    }
}
