import KroneckerFactors
import LinearAlgebra

/// One block's part of a step of conjugate gradients under joint curvature, all blocks together being one system.
///
/// Source: Hestenes & Stiefel 1952; DESIGN section 2.5, joint rows.
///
/// It reads the block's state, the sum over blocks of X, the inverses of A and B, or of F, as packed F32, and then what
/// ``JointCurvature`` reads. The first step reads the state and X of ``JointStartOperation``. Later ones read the
/// numbers ``MeasurementName/descent`` of the sum before what the curvature reads.
///
/// It makes two blobs of F64: the new state, which is Δ, the residual r, the direction d and z = M⁻¹ r, each
/// `[d_out, d_in]`, and if there is a floor its images of d and of z; and X of z of each task, `[S, R]`. It measures
/// ``MeasurementName/descent``: r·r, r·z, z·Fz, z·Fd, and of the first step b·b of the right side, else 0; F is the
/// floor. When the sum says that the iteration has stopped, the state is handed on, and nothing is measured anew. Its
/// subject is the block.
public struct JointStepOperation: UnitOperation {
    /// The joint curvature.
    public var curvature: JointCurvature
    /// Whether it makes the first residual, and not a step.
    public var isFirst: Bool

    /// Describes the computation.
    public init(curvature: JointCurvature, isFirst: Bool) {
        self.curvature = curvature
        self.isFirst = isFirst
    }

    /// Matrices of the state that it reads.
    public var readCount: Int { isFirst ? 1 + 2 * curvature.imageCount : stateCount }
    /// Matrices of the state that it makes.
    public var stateCount: Int { 4 + 2 * curvature.imageCount }
    /// Lists of X that it reads: that of a direction, or those of the residual and of the right side.
    public var sumCount: Int { isFirst ? 2 : 1 }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "joint_step" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .merge }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 2 + curvature.block.factors.count + curvature.blobCount }
    /// Number of lists of numbers that it reads.
    public var inputNumberCount: Int { (isFirst ? 0 : 1) + curvature.numberCount }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 2 }

    /// The image of X, the solve with the inverses, X of z, and the floor's image of z.
    public var cost: UnitCost {
        let (matrix, (outputs, inputs)) = (curvature.matrixBytes, curvature.shape)
        let inverses = curvature.block.factors.reduce(UInt64(0)) { $0.saturatingSum($1.shape.storedBytes) }
        let solve = Double(outputs) * Double(inputs) * Double(outputs.saturatingSum(inputs))
        return UnitCost(
            multiplyAdds: Double(sumCount + 1) * curvature.productMultiplyAdds + curvature.floorMultiplyAdds + solve,
            inputBytes: curvature.rowBytes.saturatingProduct(UInt64(sumCount) + 1)
                .saturatingSum(curvature.factorBytes).saturatingSum(inverses)
                .saturatingSum(matrix.saturatingProduct(UInt64(readCount)))
                .saturatingSum(curvature.productBytes.saturatingProduct(UInt64(sumCount))),
            outputBytes: matrix.saturatingProduct(UInt64(stateCount)).saturatingSum(curvature.productBytes),
            // The state, an image, and a product.
            memoryBytes: matrix.saturatingProduct(UInt64(stateCount) + 3).saturatingSum(curvature.memoryBytes)
                .saturatingSum(curvature.productBytes.saturatingProduct(UInt64(sumCount) + 1))
                .saturatingSum(UInt64(clamping: solveBytes)).saturatingSum(UnitCost.streamingBytes))
    }

    /// An inverse as it is stored, and its square.
    private var solveBytes: Int {
        let widest = curvature.block.factors.map(\.shape.dimension).max() ?? 0
        return widest.saturatingProduct(widest).saturatingProduct(10)
    }

    /// Products of rows and of factors.
    public var kernel: UnitKernel { .matrixProduct }

    /// Seconds on a nominal core of its costliest product.
    public var stageSeconds: Double { curvature.stageSeconds }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireJointStepOperation()
        wire.curvature = curvature.wire
        wire.isFirst = isFirst
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireJointStepOperation = try message(bytes)
        self.init(curvature: try JointCurvature(wire.curvature), isFirst: wire.isFirst)
    }
}
