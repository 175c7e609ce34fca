import LinearAlgebra

/// One block's part of the joint curvature of several tasks, Σ_t λ_t Ω_t: their own pseudo-rows and a floor.
///
/// An operation on it reads, task by task, the pseudo-rows of the inputs and of the gradients, as F32, and then A and B
/// of a layer, or F of a parameter, if the floor has factors. A parameter has no blob of inputs: of each task it reads
/// ``MeasurementName/constantRows``.
///
/// Source: DESIGN section 2.2, joint form.
public struct JointCurvature: Equatable, Sendable {
    /// One task's pseudo-rows.
    public struct TaskRows: Equatable, Sendable {
        /// Number of input rows, R.
        public var inputRank: Int
        /// Number of gradient rows, S.
        public var gradientRank: Int
        /// λ_t.
        public var lambda: Double
        /// The rows of a sample that were pooled into the positions; `nil` if each position is a row.
        public var pooledRows: Double?

        /// Describes a task's pseudo-rows.
        public init(inputRank: Int, gradientRank: Int, lambda: Double, pooledRows: Double? = nil) {
            self.inputRank = inputRank
            self.gradientRank = gradientRank
            self.lambda = lambda
            self.pooledRows = pooledRows
        }

        /// Elements of X, `[S, R]`.
        public var productCount: Int { inputRank.saturatingProduct(gradientRank) }
    }

    /// What is added for the directions that the rows do not see.
    public enum Floor: Equatable, Sendable {
        /// Nothing.
        case none
        /// A number times the task's factors.
        case factors(Double)
        /// The task's factors without what the rows hold already.
        case complement
    }

    /// The block.
    public var block: CurvatureBlock.Kind
    /// Positions of a row, P; 1 for a parameter.
    public var positions: Int
    /// The tasks, in the job's order.
    public var tasks: [TaskRows]
    /// The floor of each task.
    public var floor: Floor
    /// Whether the tasks' factors are read as F64.
    public var readsDouble: Bool

    /// The most elements of rows that are multiplied at once.
    private static let chunkElements = 8 << 20

    /// Describes the curvature.
    public init(
        block: CurvatureBlock.Kind, positions: Int, tasks: [TaskRows], floor: Floor, readsDouble: Bool = false
    ) {
        self.block = block
        self.positions = positions
        self.tasks = tasks
        self.floor = floor
        self.readsDouble = readsDouble
    }

    /// Rows and columns of Δ, with the column of a bias; a parameter is one column.
    public var shape: (outputs: Int, inputs: Int) {
        let dimensions = block.factors.map(\.shape.dimension)
        return hasConstants ? (dimensions[0], 1) : (dimensions[1], dimensions[0])
    }

    /// Whether the block is a parameter, whose inputs are the constants of the rows.
    public var hasConstants: Bool { block.factors.count == 1 }

    /// Whether factors are read.
    public var readsFactors: Bool { floor != .none }

    /// Rows of a width that are multiplied at once.
    public func chunkRows(width: Int) -> Int {
        max(1, Self.chunkElements / max(1, positions.saturatingProduct(width)))
    }

    // MARK: - Places of inputs

    /// Number of blobs of each task: its pseudo-rows, and its factors.
    public var blobsPerTask: Int { (hasConstants ? 1 : 2) + (readsFactors ? block.factors.count : 0) }
    /// Number of blobs of all tasks.
    public var blobCount: Int { tasks.count.saturatingProduct(blobsPerTask) }
    /// Number of lists of numbers of all tasks: the constants of a parameter.
    public var numberCount: Int { hasConstants ? tasks.count : 0 }

    // MARK: - Sizes

    /// Elements of X of all tasks, which stand one after the other.
    public var productCount: Int { tasks.reduce(0) { $0.saturatingSum($1.productCount) } }
    /// Bytes of X of all tasks as F64.
    var productBytes: UInt64 { UInt64(productCount).saturatingProduct(8) }
    /// Bytes of a matrix of the block's shape as F64.
    var matrixBytes: UInt64 { UInt64(shape.outputs).saturatingProduct(UInt64(shape.inputs)).saturatingProduct(8) }
    /// Matrices of a floor's images beside those of a step: none without a floor.
    var imageCount: Int { readsFactors ? 1 : 0 }

    /// Multiply-adds of X of one matrix for all tasks; their image takes as many.
    var productMultiplyAdds: Double { tasks.reduce(0) { $0 + productMultiplyAdds(of: $1) } }

    private func productMultiplyAdds(of task: TaskRows) -> Double {
        Double(positions) * Double(shape.outputs) * Double(task.inputRank)
            * (Double(shape.inputs) + Double(task.gradientRank))
    }

    /// Multiply-adds of the floor's image of one matrix for all tasks.
    var floorMultiplyAdds: Double {
        let (outputs, inputs) = (Double(shape.outputs), Double(shape.inputs))
        let products = outputs * inputs * (outputs + inputs)
        switch floor {
        case .none: return 0
        case .factors: return Double(tasks.count) * products
        case .complement:
            return tasks.reduce(0) { sum, task in
                let triangles =
                    Double(task.inputRank) * inputs * inputs + Double(task.gradientRank) * outputs * outputs
                return sum + 2 * products + Double(positions) * triangles / 2
            }
        }
    }

    /// Bytes of all pseudo-rows.
    var rowBytes: UInt64 {
        tasks.reduce(0) { sum, task in
            sum.saturatingSum(elements(task.inputRank, hasConstants ? 0 : shape.inputs).saturatingProduct(4))
                .saturatingSum(elements(task.gradientRank, shape.outputs).saturatingProduct(4))
        }
    }

    /// Bytes of all factors that are read.
    var factorBytes: UInt64 {
        guard readsFactors else { return 0 }
        return block.factors.reduce(UInt64(0)) { $0.saturatingSum($1.shape.storedBytes) }
            .saturatingProduct(UInt64(tasks.count)).saturatingProduct(readsDouble ? 2 : 1)
    }

    /// Bytes of a product or an image of one matrix, beside the matrix and its sum.
    var memoryBytes: UInt64 {
        let rows = tasks.reduce(UInt64(0)) { most, task in
            let chunk = max(
                elements(min(task.inputRank, chunkRows(width: shape.inputs)), shape.inputs).saturatingProduct(12)
                    .saturatingSum(
                        elements(min(task.inputRank, chunkRows(width: shape.inputs)), shape.outputs)
                            .saturatingProduct(8)),
                elements(min(task.gradientRank, chunkRows(width: shape.outputs)), shape.outputs).saturatingProduct(12))
            let images = elements(task.inputRank, shape.outputs).saturatingProduct(8)
            return max(most, images.saturatingSum(chunk))
        }
        guard readsFactors else { return rows }
        // A factor as it is stored, and its square, beside what the rows hold of both.
        let widest = block.factors.map(\.shape.dimension).max() ?? 0
        let square = UInt64(widest).saturatingProduct(UInt64(widest)).saturatingProduct(12)
        let held = block.factors.map { UInt64($0.shape.dimension) }.reduce(matrixBytes) {
            $0.saturatingSum($1.saturatingProduct($1).saturatingProduct(8))
        }
        return max(rows, square).saturatingSum(held)
    }

    /// Seconds on a nominal core of the costliest product that reports no progress of its own.
    var stageSeconds: Double {
        let (outputs, inputs) = (Double(shape.outputs), Double(shape.inputs))
        let ofRows = Double(positions) * outputs
        let chunks = tasks.map { task in
            let (first, second) = (
                min(task.inputRank, chunkRows(width: shape.inputs)),
                min(task.gradientRank, chunkRows(width: shape.outputs))
            )
            return ofRows * max(Double(first) * inputs, Double(second) * Double(task.inputRank))
        }
        return max(chunks.max() ?? 0, outputs * inputs * max(outputs, inputs)) / 1e11
    }

    private func elements(_ rows: Int, _ width: Int) -> UInt64 {
        UInt64(rows).saturatingProduct(UInt64(positions)).saturatingProduct(UInt64(width))
    }

    // MARK: - Encoding

    init(_ wire: WireJointCurvature) throws(OperationError) {
        self.init(
            block: try CurvatureBlock.Kind(wire.block), positions: try count(wire.positions, "the number of positions"),
            tasks: try list(wire.tasks, "the list of tasks", JointCurvature.TaskRows.init),
            floor: try Floor(wire), readsDouble: wire.readsDouble)
        guard !tasks.isEmpty, positions > 0, positions == 1 || !hasConstants, readsFactors || !readsDouble,
            positions.saturatingProduct(max(shape.outputs, shape.inputs)) <= OperationLimits.dimensionMax
        else {
            throw .malformed(
                "a joint curvature is of \(tasks.count) tasks with rows of \(positions) positions, in a block of "
                    + "[\(shape.outputs), \(shape.inputs)]")
        }
    }

    var wire: WireJointCurvature {
        var wire = WireJointCurvature()
        wire.block = block.wire
        wire.positions = UInt32(positions)
        wire.tasks = tasks.map(\.wire)
        switch floor {
        case .none: break
        case .factors(let share): wire.factorShare = share
        case .complement: wire.complement = true
        }
        wire.readsDouble = readsDouble
        return wire
    }
}

extension JointCurvature.TaskRows {
    init(_ wire: WireJointCurvatureTask) throws(OperationError) {
        self.init(
            inputRank: try count(wire.inputRank, "the number of input rows", most: JointRows.countMax),
            gradientRank: try count(wire.gradientRank, "the number of gradient rows", most: JointRows.countMax),
            lambda: try notNegative(wire.lambda, "a task's share"),
            pooledRows: wire.hasPooledRows ? try divisor(wire.pooledRows) : nil)
        guard inputRank > 0, gradientRank > 0 else {
            throw .malformed("a task has \(inputRank) and \(gradientRank) joint rows")
        }
    }

    var wire: WireJointCurvatureTask {
        var wire = WireJointCurvatureTask()
        wire.inputRank = UInt32(inputRank)
        wire.gradientRank = UInt32(gradientRank)
        wire.lambda = lambda
        if let pooledRows { wire.pooledRows = pooledRows }
        return wire
    }
}

extension JointCurvature.Floor {
    init(_ wire: WireJointCurvature) throws(OperationError) {
        guard wire.hasFactorShare else {
            self = wire.complement ? .complement : .none
            return
        }
        guard !wire.complement else { throw .malformed("a floor is the complement, and a share of the factors") }
        self = .factors(try notNegative(wire.factorShare, "the share of the factors"))
    }
}
