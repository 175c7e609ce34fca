import LinearAlgebra

/// The squared norms of several task vectors in parts of tensors.
///
/// It reads no blobs and makes none. Its subject is the first of the tensors.
///
/// Source: DESIGN section 2.3 (what no factor covers).
public struct NormOperation: UnitOperation {
    /// θ_0 of each part.
    public var base: ParameterSources
    /// θ_t of each part, for each task.
    ///
    /// These need not be finite; the norm of one that is not is NaN.
    public var checkpoints: [ParameterSources]

    /// Describes the norms of task vectors.
    public init(base: ParameterSources, checkpoints: [ParameterSources]) {
        self.base = base
        self.checkpoints = checkpoints
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "norm" }
    /// The stage that its durations count for.
    public static var stage: UnitStage { .penalty }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { (base + checkpoints.flatMap { $0 }).flatMap(\.slices) }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 0 }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 0 }

    /// Each part is read from the base once, and then from each checkpoint, as fp64.
    public var cost: UnitCost {
        let bytes = (base + checkpoints.flatMap { $0 }).reduce(UInt64(0)) { $0.saturatingSum($1.byteCount) }
        let largest = base.map { $0.byteCount / UInt64($0.elementType.byteCount) }.max() ?? 0
        var cost = UnitCost.streaming(inputBytes: bytes, outputBytes: 0)
        cost.memoryBytes = cost.memoryBytes.saturatingSum(largest.saturatingProduct(2 * 8))
            .saturatingSum(LowRankUpdate.memoryBytes(of: checkpoints))
        return cost
    }

    /// 0: sums over elements.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireNormOperation()
        wire.base = WireParameterSources(base, &files)
        for checkpoint in checkpoints { wire.checkpoints.append(WireParameterSources(checkpoint, &files)) }
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireNormOperation = try message(bytes)
        self.init(
            base: try blockParameters(wire.base, files),
            checkpoints: try list(wire.checkpoints, "the list of checkpoints") { checkpoint throws(OperationError) in
                try blockParameters(checkpoint, files)
            })
    }
}
