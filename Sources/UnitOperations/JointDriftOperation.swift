import KroneckerFactors
import LinearAlgebra

/// A task vector against a target's pseudo-rows, in one block → the block's part of X: X_sr = Σ_p v_{s,p}ᵀ Δ u_{r,p}.
///
/// It reads the pseudo-rows of the inputs and of the gradients, as F32. A parameter has no blob of inputs: it reads
/// ``MeasurementName/constantRows``. It makes one blob of F64, `[gradient rank, input rank]`. If the floor is the
/// complement, it measures ``MeasurementName/insidePenalty``. Its subject is the block.
///
/// Source: DESIGN section 2.2, joint form.
public struct JointDriftOperation: UnitOperation {
    /// The block.
    public var block: CurvatureBlock.Kind
    /// θ_0.
    public var base: ParameterSources
    /// θ_t.
    public var checkpoint: ParameterSources
    /// Whether the merge gives it weight 0 in the block.
    ///
    /// Then it need not be finite; the part of one that is not is NaN.
    public var isUnweighted: Bool
    /// Number of input rows, R.
    public var inputRank: Int
    /// Number of gradient rows, S.
    public var gradientRank: Int
    /// Positions of a row, P; 1 for a parameter.
    public var positions: Int
    /// Whether it measures what the rows hold of the factors' penalty.
    public var measuresInside: Bool
    /// The rows of a sample that were pooled into the positions; `nil` if each position is a row.
    public var pooledRows: Double?

    /// The most elements of rows that are multiplied at once.
    private static let chunkElements = 8 << 20

    /// Describes the computation.
    public init(
        block: CurvatureBlock.Kind, base: ParameterSources, checkpoint: ParameterSources, isUnweighted: Bool,
        inputRank: Int, gradientRank: Int, positions: Int, measuresInside: Bool, pooledRows: Double? = nil
    ) {
        self.block = block
        self.base = base
        self.checkpoint = checkpoint
        self.isUnweighted = isUnweighted
        self.inputRank = inputRank
        self.gradientRank = gradientRank
        self.positions = positions
        self.measuresInside = measuresInside
        self.pooledRows = pooledRows
    }

    /// Rows and columns of Δ, with the column of a bias; a parameter is one column.
    public var shape: (outputs: Int, inputs: Int) {
        let dimensions = block.factors.map(\.shape.dimension)
        return hasConstants ? (dimensions[0], 1) : (dimensions[1], dimensions[0])
    }

    /// Whether the block is a parameter, whose inputs are the constants of the rows.
    public var hasConstants: Bool { block.factors.count == 1 }

    /// Input rows that are multiplied at once.
    public var inputChunkRows: Int { chunkRows(shape.inputs) }
    /// Gradient rows that are multiplied at once.
    public var gradientChunkRows: Int { chunkRows(shape.outputs) }

    private func chunkRows(_ width: Int) -> Int {
        max(1, Self.chunkElements / max(1, positions.saturatingProduct(width)))
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "joint_drift" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .penalty }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { (base + checkpoint).flatMap(\.slices) }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { hasConstants ? 1 : 2 }
    /// Number of lists of numbers that it reads.
    public var inputNumberCount: Int { hasConstants ? 1 : 0 }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 1 }

    /// A product of Δ with the inputs, and one of the gradients with that; and the squares inside.
    public var cost: UnitCost {
        let (outputs, inputs) = shape
        let matrix = UInt64(outputs).saturatingProduct(UInt64(inputs))
        let rowBytes = elements(inputRank, hasConstants ? 0 : inputs).saturatingSum(elements(gradientRank, outputs))
            .saturatingProduct(4)
        // A chunk is read as F32 and widened; that of inputs has its images beside it.
        let inputRows = min(inputRank, inputChunkRows)
        let chunkBytes = max(
            elements(inputRows, inputs).saturatingProduct(12)
                .saturatingSum(elements(inputRows, outputs).saturatingProduct(8)),
            elements(min(gradientRank, gradientChunkRows), outputs).saturatingProduct(12))
        let drift = JointDrift.memoryBytes(
            outputs: outputs, inputs: inputs, inputRank: inputRank, positions: positions,
            measuresInside: measuresInside)
        return UnitCost(
            multiplyAdds: multiplyAdds(inputRows: inputRank) + multiplyAdds(gradientRows: gradientRank),
            inputBytes: rowBytes.saturatingSum(matrix.saturatingProduct(8)),
            outputBytes: UInt64(inputRank).saturatingProduct(UInt64(gradientRank)).saturatingProduct(8),
            // θ_0 is in memory while Δ is made.
            memoryBytes: drift.saturatingSum(chunkBytes).saturatingSum(matrix.saturatingProduct(8))
                .saturatingSum(UnitCost.streamingBytes).saturatingSum(LowRankUpdate.memoryBytes(of: [checkpoint])))
    }

    /// Products of rows.
    public var kernel: UnitKernel { .matrixProduct }

    /// Seconds on a nominal core of one chunk's products, which report no progress of their own.
    public var stageSeconds: Double {
        max(
            multiplyAdds(inputRows: min(inputRank, inputChunkRows)),
            multiplyAdds(gradientRows: min(gradientRank, gradientChunkRows))) / 1e11
    }

    private func elements(_ rows: Int, _ width: Int) -> UInt64 {
        UInt64(rows).saturatingProduct(UInt64(positions)).saturatingProduct(UInt64(width))
    }

    private func multiplyAdds(inputRows: Int) -> Double {
        let images = Double(inputRows) * Double(positions) * Double(shape.outputs)
        return images * (Double(shape.inputs) + (measuresInside ? Double(shape.outputs) / 2 : 0))
    }

    private func multiplyAdds(gradientRows: Int) -> Double {
        let elements = Double(gradientRows) * Double(positions) * Double(shape.outputs)
        return elements * (Double(inputRank) + (measuresInside ? Double(shape.outputs) / 2 : 0))
    }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireJointDriftOperation()
        wire.block = block.wire
        wire.base = WireParameterSources(base, &files)
        wire.checkpoint = WireParameterSources(checkpoint, &files)
        wire.unweighted = isUnweighted
        wire.inputRank = UInt32(inputRank)
        wire.gradientRank = UInt32(gradientRank)
        wire.positions = UInt32(positions)
        wire.measuresInside = measuresInside
        if let pooledRows { wire.pooledRows = pooledRows }
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireJointDriftOperation = try message(bytes)
        self.init(
            block: try CurvatureBlock.Kind(wire.block), base: try blockParameters(wire.base, files),
            checkpoint: try blockParameters(wire.checkpoint, files), isUnweighted: wire.unweighted,
            inputRank: try count(wire.inputRank, "the number of input rows", most: JointRows.countMax),
            gradientRank: try count(wire.gradientRank, "the number of gradient rows", most: JointRows.countMax),
            positions: try count(wire.positions, "the number of positions"), measuresInside: wire.measuresInside,
            pooledRows: wire.hasPooledRows ? try divisor(wire.pooledRows) : nil)
        guard inputRank > 0, gradientRank > 0, positions > 0, positions == 1 || !hasConstants,
            positions.saturatingProduct(max(shape.outputs, shape.inputs)) <= OperationLimits.dimensionMax
        else {
            throw .malformed(
                "a drift is of \(inputRank) and \(gradientRank) rows of \(positions) positions, in a block of "
                    + "[\(shape.outputs), \(shape.inputs)]")
        }
    }
}
