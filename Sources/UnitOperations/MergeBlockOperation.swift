public import LinearAlgebra

/// The `kfac` merge of one block: the factors and task vectors of all tasks → the block's merged parameters.
///
/// It reads, task by task, the task's A then B, or its F, F32 packed, and makes a blob a parameter. Its subject is the
/// block.
///
/// Source: DESIGN section 2.5.
public struct MergeBlockOperation: UnitOperation {
    /// One task's share.
    public struct Task: Equatable, Sendable {
        /// θ_t.
        public var parameters: BlockParameters
        /// Factor of the task vector; negative for negation.
        public var weight: Double
        /// λ_t.
        public var lambda: Double

        /// Describes a task's share.
        public init(parameters: BlockParameters, weight: Double, lambda: Double) {
            self.parameters = parameters
            self.weight = weight
            self.lambda = lambda
        }
    }

    /// The block.
    public var block: CurvatureBlock.Kind
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
        block: CurvatureBlock.Kind, base: BlockParameters, tasks: [Task], scale: Double, damping: DampingSpec,
        outputTypes: [ElementType]
    ) {
        self.block = block
        self.base = base
        self.tasks = tasks
        self.scale = scale
        self.damping = damping
        self.outputTypes = outputTypes
    }

    // MARK: - Work

    /// The operation's word in leases and keys.
    public static var kind: String { "merge_block" }
    /// By what its durations are counted.
    public static var stage: UnitStage { .mergeBlock }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { (base + tasks.flatMap(\.parameters)).map(\.slice) }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { block.factors.count * tasks.count }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { block.parameterCount }

    /// Two products a task, two solves and one product more, which counts as much as two at most.
    ///
    /// At its peak, while the products are made: both means as fp64 triangles, the smaller one's factorization and the
    /// square of the side that is multiplied with, and one task's factors; θ_0, a task vector, its product and three
    /// sums. A layer's factors are read twice.
    public var cost: UnitCost {
        let (matrix, squares, packed, products) = block.sizes
        let passes: UInt64 = block.factors.count == 2 ? 2 : 1
        return UnitCost(
            multiplyAdds: 2 * Double(tasks.count + 2) * products,
            inputBytes: packed.saturatingProduct(UInt64(tasks.count) * passes)
                .saturatingSum(matrix.saturatingProduct(UInt64(tasks.count + 1) * 4)),
            outputBytes: matrix.saturatingProduct(4),
            memoryBytes: squares.saturatingSum(packed.saturatingProduct(3))
                .saturatingSum(matrix.saturatingProduct(6 * 8)).saturatingSum(UnitCost.streamingBytes))
    }

    /// Seconds on a nominal core of its costliest stage that shows no progress from within.
    public var stageSeconds: Double {
        block.factors.reduce(0) { $0 + UnitCost.factorizationSeconds(dimension: $1.dimension) }
    }

    // MARK: - Encoding

    /// Writes every field down.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireMergeBlockOperation()
        wire.block = block.wire
        wire.base = WireBlockParameters(base, &files)
        for task in tasks {
            var wireTask = WireMergeBlockTask()
            wireTask.parameters = WireBlockParameters(task.parameters, &files)
            wireTask.weight = task.weight
            wireTask.lambda = task.lambda
            wire.tasks.append(wireTask)
        }
        wire.scale = scale
        wire.damping = damping.wire
        wire.outputTypes = outputTypes.map(\.rawValue)
        return encoded(wire)
    }

    /// Reads what ``encode(_:)`` wrote.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireMergeBlockOperation = try message(bytes)
        self.init(
            block: try CurvatureBlock.Kind(wire.block), base: try blockParameters(wire.base, files),
            tasks: try list(wire.tasks, "the list of tasks") { task throws(OperationError) in
                Task(
                    parameters: try blockParameters(task.parameters, files), weight: task.weight, lambda: task.lambda)
            },
            scale: wire.scale, damping: try DampingSpec(wire.damping),
            outputTypes: try list(wire.outputTypes, "the list of output types") { type throws(OperationError) in
                try word(type, "an element type")
            })
    }
}
