import LinearAlgebra

/// What a step under joint curvature needs of all blocks: the blocks' X → their sum, the length of the step, and
/// whether the iteration stops.
///
/// Sum 0 is of the parts of ``JointStartOperation``: it reads these alone, and makes both lists' sums. Sum k ≥ 1 is of
/// the parts after k − 1 steps. It reads the parts, and each block's ``MeasurementName/descent``. From sum 2 on it also
/// reads the X of the former direction, after the parts, and its own numbers of the former sum, first among the lists.
///
/// It makes one blob of F64, X of the new direction of each task, `[S, R]`. It measures ``MeasurementName/descent``: 1
/// if the iteration stops, else 0; the steps taken; the residual as a share of the right side's norm; the length of the
/// step; the share of the former direction; r·z; d·Fd of the floor F; and b·b.
///
/// After the stop, the numbers are handed on, and the blob is a 0.
///
/// Source: DESIGN section 2.5, joint rows.
public struct JointStepSumOperation: UnitOperation {
    /// Number of blocks.
    public var partCount: Int
    /// The tasks' ranks and λ_t.
    public var tasks: [JointCurvature.TaskRows]
    /// Its number: one more than the steps that were taken, and 0 for the vectors.
    public var number: Int
    /// The residual at which the iteration stops, as a share of the right side's norm.
    public var tolerance: Double
    /// The most steps.
    public var stepsMax: Int

    /// Describes the computation.
    public init(partCount: Int, tasks: [JointCurvature.TaskRows], number: Int, tolerance: Double, stepsMax: Int) {
        self.partCount = partCount
        self.tasks = tasks
        self.number = number
        self.tolerance = tolerance
        self.stepsMax = stepsMax
    }

    /// Whether a direction was summed before.
    public var hasFormer: Bool { number > 1 }
    /// Elements of a part, and of the sum.
    public var elementCount: Int {
        tasks.reduce(0) { $0.saturatingSum($1.productCount) }.saturatingProduct(number == 0 ? 2 : 1)
    }

    // MARK: - Work

    /// The operation's name in leases and keys.
    public static var kind: String { "joint_step_sum" }
    /// The stage that it belongs to.
    public static var stage: UnitStage { .merge }
    /// The slices of files that it reads.
    public var slices: [FileSlice] { [] }
    /// Number of blobs that it reads.
    public var inputBlobCount: Int { partCount + (hasFormer ? 1 : 0) }
    /// Number of lists of numbers that it reads.
    public var inputNumberCount: Int { (number > 0 ? partCount : 0) + (hasFormer ? 1 : 0) }
    /// Number of blobs that it makes.
    public var outputBlobCount: Int { 1 }

    /// It reads every part once.
    public var cost: UnitCost {
        let bytes = UInt64(elementCount).saturatingProduct(8)
        return UnitCost(
            multiplyAdds: Double(elementCount) * Double(partCount + 2),
            inputBytes: bytes.saturatingProduct(UInt64(inputBlobCount)), outputBytes: bytes,
            memoryBytes: bytes.saturatingProduct(3).saturatingSum(UnitCost.streamingBytes))
    }

    /// 0: a pass over each part, and each counts as progress.
    public var stageSeconds: Double { 0 }

    // MARK: - Encoding

    /// Encodes every field.
    public func encode(_ files: inout FileNumbering) -> [UInt8] {
        var wire = WireJointStepSumOperation()
        wire.parts = UInt32(partCount)
        wire.tasks = tasks.map(\.wire)
        wire.number = UInt32(number)
        wire.tolerance = tolerance
        wire.stepsMax = UInt32(stepsMax)
        return encoded(wire)
    }

    /// Decodes the bytes that ``encode(_:)`` made.
    ///
    /// - Throws: ``OperationError``.
    public init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError) {
        let wire: WireJointStepSumOperation = try message(bytes)
        self.init(
            partCount: try count(wire.parts, "the number of parts", most: OperationLimits.listCountMax),
            tasks: try list(wire.tasks, "the list of tasks", JointCurvature.TaskRows.init),
            number: try count(wire.number, "the number of a sum", most: OperationLimits.listCountMax),
            tolerance: try notNegative(wire.tolerance, "a tolerance"),
            stepsMax: try count(wire.stepsMax, "the number of steps", most: OperationLimits.listCountMax))
        guard partCount > 0, !tasks.isEmpty, elementCount <= OperationLimits.dimensionMax else {
            throw .malformed("a sum of a step is of \(partCount) parts of \(tasks.count) tasks")
        }
    }
}
