import Identifiers
public import KroneckerFactors
public import LinearAlgebra

/// An operation of a worker.
///
/// `Blob` names inputs: another unit's output in the plan, a digest in a lease.
///
/// Source: DESIGN section 5, "a worker is a pure function from inputs to outputs".
public enum WorkerOperation<Blob: Equatable & Sendable>: Equatable, Sendable {
    /// Rows → a Kronecker factor or one of its partial sums.
    case factor(FactorOperation)
    /// A factor of a finished set → a packed factor.
    case importFactor(ImportOperation)
    /// Partial sums → a factor.
    case combine(CombineOperation<Blob>)
    /// The factors of all tasks → their sums for every target, and their inner products.
    case accumulate(AccumulateOperation<Blob>)
    /// Both sides' factors of all tasks → their sums in the form `optimal`, for every target.
    case accumulateOptimal(OptimalAccumulateOperation<Blob>)
    /// A packed factor → its damped inverse.
    case invert(InvertOperation<Blob>)
    /// A block's factors and several task vectors → the penalty of each task vector.
    case penalty(PenaltyOperation<Blob>)
    /// The factors and task vectors of all tasks → the block's merged parameters.
    case mergeBlock(MergeBlockOperation<Blob>)

    /// The slices of input files that it reads.
    public var slices: [FileSlice] {
        switch self {
        case .factor(let operation): operation.slices.map(\.slice)
        case .importFactor(let operation): [operation.slice]
        case .combine, .accumulate, .accumulateOptimal, .invert: []
        case .penalty(let operation): (operation.base + operation.checkpoints.flatMap { $0 }).map(\.slice)
        case .mergeBlock(let operation): (operation.base + operation.tasks.flatMap(\.parameters)).map(\.slice)
        }
    }

    /// The blobs that it reads, in the order of the operation, with repetitions.
    public var blobs: [Blob] {
        var blobs: [Blob] = []
        _ = mapBlobs { (blob: Blob) in
            blobs.append(blob)
            return blob
        }
        return blobs
    }

    /// The same operation with its blobs named differently.
    ///
    /// - Throws: the error that `name` throws.
    public func mapBlobs<Other, Failure: Error>(
        _ name: (Blob) throws(Failure) -> Other
    ) throws(Failure) -> WorkerOperation<Other> {
        switch self {
        case .factor(let operation): .factor(operation)
        case .importFactor(let operation): .importFactor(operation)
        case .combine(let operation): .combine(try operation.mapBlobs(name))
        case .accumulate(let operation): .accumulate(try operation.mapBlobs(name))
        case .accumulateOptimal(let operation): .accumulateOptimal(try operation.mapBlobs(name))
        case .invert(let operation): .invert(try operation.mapBlobs(name))
        case .penalty(let operation): .penalty(try operation.mapBlobs(name))
        case .mergeBlock(let operation): .mergeBlock(try operation.mapBlobs(name))
        }
    }
}

/// Rows → a factor: `rowsᵀ · rows`, in chunks of fixed size.
///
/// Source: DESIGN section 2.1 and 2.6.
public struct FactorOperation: Equatable, Sendable {
    /// The tensor that holds the rows, for messages.
    public var tensor: String
    /// Number of columns of the rows.
    public var columns: Int
    /// Whether a column of ones is appended for the bias.
    public var appendsOnes: Bool
    /// The rows' element type.
    public var elementType: ElementType
    /// The slices that hold the rows, in order.
    public var slices: [RowSlice]
    /// Rows of one chunk; a multiple of whole samples when positions are reduced.
    public var chunkRows: Int
    /// How the rows of one sample are combined.
    public var reduction: PositionReduction
    /// The divisor of the sum; `nil` for a partial sum, which stays fp64 and undivided.
    public var divisor: Double?

    /// Describes a factor's computation.
    public init(
        tensor: String, columns: Int, appendsOnes: Bool, elementType: ElementType, slices: [RowSlice],
        chunkRows: Int, reduction: PositionReduction, divisor: Double?
    ) {
        self.tensor = tensor
        self.columns = columns
        self.appendsOnes = appendsOnes
        self.elementType = elementType
        self.slices = slices
        self.chunkRows = chunkRows
        self.reduction = reduction
        self.divisor = divisor
    }

    /// The factor's dimension.
    public var dimension: Int { columns + (appendsOnes ? 1 : 0) }
    /// Number of rows.
    public var rows: Int { slices.reduce(0) { $0 + $1.rows } }
}

/// A packed factor → its damped inverse.
///
/// Source: DESIGN section 2.4.
public struct InvertOperation<Blob: Equatable & Sendable>: Equatable, Sendable {
    /// The factor, F32 packed.
    public var factor: Blob
    /// Its dimension.
    public var dimension: Int
    /// Whether the factor is a full block, not one side of a layer.
    public var isFullBlock: Bool
    /// How to damp.
    public var damping: DampingSpec

    /// Describes an inversion.
    public init(factor: Blob, dimension: Int, isFullBlock: Bool, damping: DampingSpec) {
        self.factor = factor
        self.dimension = dimension
        self.isFullBlock = isFullBlock
        self.damping = damping
    }

    func mapBlobs<Other, Failure: Error>(
        _ name: (Blob) throws(Failure) -> Other
    ) throws(Failure) -> InvertOperation<Other> {
        InvertOperation<Other>(
            factor: try name(factor), dimension: dimension, isFullBlock: isFullBlock, damping: damping)
    }
}

/// A block's curvature: both sides of a layer, or a full block; F32 packed.
public enum BlockFactors<Blob: Equatable & Sendable>: Equatable, Sendable {
    /// A and B.
    case kronecker(input: Blob, gradient: Blob)
    /// F.
    case full(Blob)

    func mapBlobs<Other, Failure: Error>(
        _ name: (Blob) throws(Failure) -> Other
    ) throws(Failure) -> BlockFactors<Other> {
        switch self {
        case .kronecker(let input, let gradient): .kronecker(input: try name(input), gradient: try name(gradient))
        case .full(let blob): .full(try name(blob))
        }
    }
}

/// A parameter tensor in a checkpoint.
public struct TensorSource: Hashable, Sendable {
    /// The element type.
    public var elementType: ElementType
    /// Its bytes.
    public var slice: FileSlice

    /// Describes a tensor's source.
    public init(elementType: ElementType, slice: FileSlice) {
        self.elementType = elementType
        self.slice = slice
    }
}

/// A block's parameters in a checkpoint, in the order of ``CurvatureBlock/parameters``.
public typealias BlockParameters = [TensorSource]

/// Several task vectors against one block's factors: tr(B Δ A Δᵀ) or δᵀ F δ for each.
///
/// Source: DESIGN section 2.2 (penalty) and 2.3 (interference).
public struct PenaltyOperation<Blob: Equatable & Sendable>: Equatable, Sendable {
    /// The block.
    public var block: CurvatureBlock
    /// The block's factors.
    public var factors: BlockFactors<Blob>
    /// θ_0.
    public var base: BlockParameters
    /// θ_t of each task.
    public var checkpoints: [BlockParameters]
    /// Positions of checkpoints that a merge gives no weight here: where one is not finite, its penalty is NaN and the
    /// others are evaluated all the same.
    public var unweighted: [Int]

    /// Describes the evaluation of penalties.
    public init(
        block: CurvatureBlock, factors: BlockFactors<Blob>, base: BlockParameters, checkpoints: [BlockParameters],
        unweighted: [Int] = []
    ) {
        self.block = block
        self.factors = factors
        self.base = base
        self.checkpoints = checkpoints
        self.unweighted = unweighted
    }

    func mapBlobs<Other, Failure: Error>(
        _ name: (Blob) throws(Failure) -> Other
    ) throws(Failure) -> PenaltyOperation<Other> {
        PenaltyOperation<Other>(
            block: block, factors: try factors.mapBlobs(name), base: base, checkpoints: checkpoints,
            unweighted: unweighted)
    }
}

/// The `kfac` merge of one block.
///
/// Source: DESIGN section 2.5.
public struct MergeBlockOperation<Blob: Equatable & Sendable>: Equatable, Sendable {
    /// One task's share.
    public struct Task: Equatable, Sendable {
        /// θ_t.
        public var parameters: BlockParameters
        /// Factor of the task vector; negative for negation.
        public var weight: Double
        /// λ_t.
        public var lambda: Double
        /// The task's factors.
        public var factors: BlockFactors<Blob>

        /// Describes a task's share.
        public init(parameters: BlockParameters, weight: Double, lambda: Double, factors: BlockFactors<Blob>) {
            self.parameters = parameters
            self.weight = weight
            self.lambda = lambda
            self.factors = factors
        }
    }

    /// The block.
    public var block: CurvatureBlock
    /// θ_0.
    public var base: BlockParameters
    /// The tasks, in the job's order.
    public var tasks: [Task]
    /// α.
    public var scale: Double
    /// How to damp.
    public var damping: DampingSpec
    /// Element type of each merged parameter.
    public var outputTypes: [ElementType]

    /// Describes the merge of a block.
    public init(
        block: CurvatureBlock, base: BlockParameters, tasks: [Task], scale: Double, damping: DampingSpec,
        outputTypes: [ElementType]
    ) {
        self.block = block
        self.base = base
        self.tasks = tasks
        self.scale = scale
        self.damping = damping
        self.outputTypes = outputTypes
    }

    func mapBlobs<Other, Failure: Error>(
        _ name: (Blob) throws(Failure) -> Other
    ) throws(Failure) -> MergeBlockOperation<Other> {
        var mapped: [MergeBlockOperation<Other>.Task] = []
        for task in tasks {
            mapped.append(
                MergeBlockOperation<Other>.Task(
                    parameters: task.parameters, weight: task.weight, lambda: task.lambda,
                    factors: try task.factors.mapBlobs(name)))
        }
        return MergeBlockOperation<Other>(
            block: block, base: base, tasks: mapped, scale: scale, damping: damping, outputTypes: outputTypes)
    }
}
