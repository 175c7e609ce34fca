import Identifiers
import LinearAlgebra
import UnitOperations
import WireProtocol

/// The merged vector as two factors.
extension MergeExecution {
    /// Encodes the two factors of α Δ, and measures what they miss.
    ///
    /// A vector of zeros has factors of rank 1 that are zero, because there are no blobs without bytes; its measured
    /// rank is 0.
    ///
    /// - Parameter delta: Δ.
    /// - Returns: The blobs of B and A, with the rank, ‖α Δ − B A‖² and ‖α Δ‖².
    /// - Throws: ``UnitError/nonFinite(_:)``, ``UnitError/badInput(_:)`` for factors that overflow their type, or what
    ///   the decomposition throws.
    func factored(_ delta: consuming Matrix<Double>) throws -> UnitResult {
        var vector = delta
        var isFinite = true
        vector.withMutableSpan { vector in
            for index in vector.indices {
                vector[index] *= operation.scale
                isFinite = isFinite && vector[index].isFinite
            }
        }
        guard isFinite else {
            throw UnitError.nonFinite(
                "merge of \"\(input.lease.subject)\": the merged vector is not finite; check the checkpoints for NaN or "
                    + "infinity\(operation.parameters.factors.isEmpty ? "" : ", or raise the damping").")
        }
        let factors = try BalancedFactors(of: try vector.copy(), rank: operation.rank)
        try input.progress.step()
        let rank = factors.up.columnCount
        let squares = Self.squares(vector)
        guard rank > 0 else {
            return UnitResult(
                blobs: try [vector.rowCount, vector.columnCount].map { count throws in
                    try store([Double](repeating: 0, count: count)).blob
                }, measurements: [.lowRank: [0, squares, squares]])
        }
        let (upValues, upBlob) = try store(factors.up.elements)
        let (downValues, downBlob) = try store(factors.down.elements)
        let up = try Matrix(rows: vector.rowCount, columns: rank, elements: upValues)
        let down = try Matrix(rows: rank, columns: vector.columnCount, elements: downValues)
        try vector.addProduct(up, .none, down, .none, scale: -1)
        try input.progress.step()
        return UnitResult(
            blobs: [upBlob, downBlob], measurements: [.lowRank: [Double(rank), Self.squares(vector), squares]])
    }

    private static func squares(_ matrix: borrowing Matrix<Double>) -> Double {
        matrix.withSpan { values in
            var sum = 0.0
            for index in values.indices { sum += values[index] * values[index] }
            return sum
        }
    }

    /// Stores a factor in its type, and reads back what it then is.
    private func store(_ factor: [Double]) throws -> (values: [Double], blob: BlobReference) {
        let type = operation.outputTypes[0]
        var bytes = [UInt8](repeating: 0, count: factor.count * type.byteCount)
        do {
            var span = bytes.mutableSpan
            var target = span.mutableBytes
            try type.encode(factor.span, into: &target)
        }
        guard type.firstNonFinite(in: bytes.span.bytes) == nil else {
            throw UnitError.badInput(
                "a factor of the merged vector of \"\(input.lease.subject)\" overflows \(type.rawValue); set \"dtype\" to "
                    + "float32.")
        }
        var values = [Double](repeating: 0, count: factor.count)
        var target = values.mutableSpan
        try type.decode(bytes.span.bytes, into: &target)
        return (values, try input.blobs.store(bytes.span.bytes))
    }
}
