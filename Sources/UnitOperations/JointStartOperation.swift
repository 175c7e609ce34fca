import LinearAlgebra

/// The start of a merge by joint curvature, in one block: the closed form's parameters and the task vectors → Δ_0, and
/// what the equations' residual and right side need of all blocks.
///
/// It reads the parameters that `kfac` merges, θ_0 + Δ_0, as F64 in the base's order, and then what ``JointCurvature``
/// reads. With e_t = w_t Δ_t − Δ_0 it makes two blobs of F64. The first has Δ_0 and, if there is a floor, the floor's
/// images of e_t and of w_t Δ_t, summed with λ_t, each `[d_out, d_in]`. The second has X of e_t of each task, `[S, R]`,
/// and then X of w_t Δ_t of each task. Its subject is the block.
///
/// Source: DESIGN section 2.5, joint rows.
public struct JointStartOperation: UnitOperation {
    /// One task's vector.
    public struct Vector: Equatable, Sendable {
        /// θ_t.
        public var parameters: ParameterSources
        /// w_t.
        public var weight: Double

        /// Describes a vector.
        public init(parameters: ParameterSources, weight: Double) {
            self.parameters = parameters
            self.weight = weight
        }
    }

    /// The joint curvature.
    public var curvature: JointCurvature
    /// θ_0.
    public var base: ParameterSources
    /// The vectors of the curvature's tasks.
    public var vectors: [Vector]

    /// Describes the computation.
    public init(curvature: JointCurvature, base: ParameterSources, vectors: [Vector]) {
        self.curvature = curvature
        self.base = base
        self.vectors = vectors
    }

    /// Number of blobs with the parameters that `kfac` merges.
    public var parameterCount: Int { curvature.block.parameterCount }
    /// Matrices of the first blob.
    public var stateCount: Int { 1 + 2 * curvature.imageCount }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "joint_start" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .merge }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { (base + vectors.flatMap(\.parameters)).flatMap(\.slices) }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { parameterCount + curvature.blobCount }
    /// Number of lists of numbers that it reads.
    public var inputNumberCount: Int { curvature.numberCount }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 2 }

    /// X and the floor's image of two matrices of each task.
    public var cost: UnitCost {
        let matrix = curvature.matrixBytes
        let sources = vectors.map(\.parameters)
        return UnitCost(
            multiplyAdds: 2 * (curvature.productMultiplyAdds + curvature.floorMultiplyAdds)
                + LowRankUpdate.multiplyAdds(of: sources),
            inputBytes: curvature.rowBytes.saturatingProduct(2).saturatingSum(curvature.factorBytes)
                .saturatingSum(matrix.saturatingProduct(UInt64(1 + vectors.count))),
            outputBytes: matrix.saturatingProduct(UInt64(stateCount))
                .saturatingSum(curvature.productBytes.saturatingProduct(2)),
            // θ_0, Δ_0, a vector, its difference, two images, and a product.
            memoryBytes: matrix.saturatingProduct(7).saturatingSum(curvature.memoryBytes)
                .saturatingSum(curvature.productBytes.saturatingProduct(2)).saturatingSum(UnitCost.streamingBytes)
                .saturatingSum(LowRankUpdate.memoryBytes(of: sources)))
    }

    /// Products of rows and of factors.
    public var kernel: UnitKernel { .matrixProduct }

    /// Seconds on a nominal core of its costliest product.
    public var stageSeconds: Double { curvature.stageSeconds }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireJointStartOperation()
        wire.curvature = curvature.wire
        wire.base = WireParameterSources(base, &files)
        for vector in vectors {
            var own = WireJointVector()
            own.parameters = WireParameterSources(vector.parameters, &files)
            own.weight = vector.weight
            wire.vectors.append(own)
        }
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireJointStartOperation = try message(bytes)
        self.init(
            curvature: try JointCurvature(wire.curvature), base: try blockParameters(wire.base, files),
            vectors: try list(wire.vectors, "the list of vectors") { vector throws(OperationError) in
                guard vector.weight.isFinite else { throw .malformed("a weight is \(vector.weight)") }
                return Vector(parameters: try blockParameters(vector.parameters, files), weight: vector.weight)
            })
        guard vectors.count == curvature.tasks.count else {
            throw .malformed("\(curvature.tasks.count) tasks have \(vectors.count) vectors")
        }
    }
}
