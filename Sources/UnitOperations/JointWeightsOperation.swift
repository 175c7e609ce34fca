import LinearAlgebra

/// The squares of one side's other side → the largest weight of the side, and that of the constant 1.
///
/// It reads ``MeasurementName/positionSquares`` of each layer for every task, and then those of each parameter.
/// The constant meets the gradients of all parameters, so its square is the sum of theirs. It measures
/// ``MeasurementName/weightSquares``: the largest square, and that of the constant. It reads and makes no blobs.
///
/// Source: DESIGN section 2.2, joint form.
public struct JointWeightsOperation: UnitOperation {
    /// Number of tasks; a square is the mean over them.
    public var taskCount: Int
    /// Number of layers.
    public var layerCount: Int
    /// Number of parameters whose squares add up to that of the constant.
    public var parameterCount: Int
    /// What is known of the constant's square beside the parameters.
    public var known: Double

    /// Describes the computation.
    public init(taskCount: Int, layerCount: Int, parameterCount: Int, known: Double) {
        self.taskCount = taskCount
        self.layerCount = layerCount
        self.parameterCount = parameterCount
        self.known = known
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "joint_weights" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .jointRows }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { 0 }
    /// Number of lists of numbers that it reads.
    public var inputNumberCount: Int {
        layerCount.saturatingSum(parameterCount).saturatingProduct(taskCount)
    }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 0 }
    /// The cost of the unit.
    public var cost: UnitCost { .streaming(inputBytes: 0, outputBytes: 0) }
    /// 0: a few additions for each position.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireJointWeightsOperation()
        wire.tasks = UInt32(taskCount)
        wire.layers = UInt32(layerCount)
        wire.parameters = UInt32(parameterCount)
        wire.known = known
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireJointWeightsOperation = try message(bytes)
        let most = OperationLimits.listCountMax
        self.init(
            taskCount: try count(wire.tasks, "the number of tasks", most: most),
            layerCount: try count(wire.layers, "the number of layers", most: most),
            parameterCount: try count(wire.parameters, "the number of parameters", most: most),
            known: try notNegative(wire.known, "a constant's square"))
        guard taskCount > 0, layerCount + parameterCount > 0 || known > 0 else {
            throw .malformed("the weights of joint rows have no squares")
        }
    }
}
