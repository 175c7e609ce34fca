import LinearAlgebra

/// Several task vectors against one block's factors: tr(B Δ_i A Δ_kᵀ) or δ_iᵀ F δ_k for each pair of them.
///
/// It reads the block's factors, A then B, or F, as packed F32. It makes no blobs. Its subject is the block. Each
/// vector is multiplied once with the factors; the pairs are inner products with the others.
///
/// Source: DESIGN section 2.2 (penalty) and 2.3 (interference).
public struct PenaltyOperation: UnitOperation {
    /// The block.
    public var block: CurvatureBlock.Kind
    /// θ_0.
    public var base: ParameterSources
    /// θ_t of each task.
    public var checkpoints: [ParameterSources]
    /// Positions of checkpoints with weight 0.
    ///
    /// These need not be finite; the penalty of one that is not is NaN.
    public var unweighted: [Int]

    /// Describes the evaluation of penalties.
    public init(
        block: CurvatureBlock.Kind, base: ParameterSources, checkpoints: [ParameterSources], unweighted: [Int] = []
    ) {
        self.block = block
        self.base = base
        self.checkpoints = checkpoints
        self.unweighted = unweighted
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "penalty" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .penalty }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { (base + checkpoints.flatMap { $0 }).flatMap(\.slices) }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { block.factors.count }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 0 }

    /// The most bytes of task vectors that a unit keeps, so as to pair them with later ones.
    private static let keptBytesMax: UInt64 = 64 << 20

    /// The number of task vectors, from the first one on, that the unit keeps as fp64.
    ///
    /// It reads the others again for each later vector. That is faster than the product of a large matrix with its
    /// factors, which is why it need not take more memory.
    public var keptVectorCount: Int {
        let fitting = Self.keptBytesMax / max(1, block.sizes.matrix.saturatingProduct(8))
        // Nothing comes behind the last one.
        return min(max(0, checkpoints.count - 1), Int(clamping: fitting))
    }

    /// Two products for each task vector, with both factors as fp64 squares, and the inner products of pairs.
    public var cost: UnitCost {
        let (matrix, squares, packed, products) = block.sizes
        let (count, kept) = (checkpoints.count, keptVectorCount)
        let (pairs, unkept) = (Double(count) * Double(max(0, count - 1)) / 2, UInt64(max(0, count - 1 - kept)))
        let reads = UInt64(count + 1).saturatingSum(unkept.saturatingProduct(unkept + 1) / 2)
        return UnitCost(
            multiplyAdds: 2 * Double(count) * products + pairs * Double(matrix),
            inputBytes: packed.saturatingSum(matrix.saturatingProduct(reads.saturatingProduct(4))),
            outputBytes: 0,
            memoryBytes: squares.saturatingSum(packed).saturatingSum(matrix.saturatingProduct(UInt64(5 + kept) * 8))
                .saturatingSum(UnitCost.streamingBytes).saturatingSum(LowRankUpdate.memoryBytes(of: checkpoints)))
    }

    /// Products with the factors.
    public var kernel: UnitKernel { .matrixProduct }

    /// Seconds on a nominal core of the costliest stage that reports no progress of its own.
    public var stageSeconds: Double {
        block.factors.map { UnitCost.factorizationSeconds(of: $0.shape) }.max() ?? 0
    }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WirePenaltyOperation()
        wire.block = block.wire
        wire.base = WireParameterSources(base, &files)
        for checkpoint in checkpoints { wire.checkpoints.append(WireParameterSources(checkpoint, &files)) }
        wire.unweighted = unweighted.map { UInt32($0) }
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WirePenaltyOperation = try message(bytes)
        self.init(
            block: try CurvatureBlock.Kind(wire.block), base: try blockParameters(wire.base, files),
            checkpoints: try list(wire.checkpoints, "the list of checkpoints") { checkpoint throws(OperationError) in
                try blockParameters(checkpoint, files)
            },
            unweighted: try list(wire.unweighted, "the list of checkpoints without weight") {
                position throws(OperationError) in
                try count(position, "the position of a checkpoint", most: wire.checkpoints.count - 1)
            })
    }
}
