/// What a worker computes: a pure function from slices of files, blobs and numbers to blobs and numbers.
///
/// An operation holds everything that decides its result, but for the names of its inputs. So it does not name its
/// blobs: whoever has it lists them beside it (``UnitInputs``), in the order that its type documents. It does not name
/// layers or tensors either, which only messages need: a unit's subject does.
///
/// One file of this module has one operation with its fields, its cost and its encoding; one file of WorkerService
/// executes it.
/// Source: DESIGN section 5, "a worker is a pure function from inputs to outputs".
public protocol UnitOperation: Equatable, Sendable {
    /// The word for the operation in leases, in keys and, with spaces, in plans: never used for another one.
    static var kind: String { get }
    /// By what its durations are counted.
    static var stage: UnitStage { get }

    /// The slices of input files that it reads.
    var slices: [FileSlice] { get }
    /// Number of blobs that it reads.
    var inputBlobCount: Int { get }
    /// Number of lists of numbers that it reads, each measured by another unit.
    var inputNumberCount: Int { get }
    /// Number of blobs that it makes.
    var outputBlobCount: Int { get }
    /// What it takes.
    var cost: UnitCost { get }
    /// Seconds on a nominal core of the costliest stage of the operation that shows no progress from within, from its
    /// dimension alone: a chunk of rows, or a factorization with all that it falls back to.
    ///
    /// ``UnitCost/nominalSeconds`` has the rate.
    var stageSeconds: Double { get }

    /// Writes every field down, the same way whenever the fields are equal.
    ///
    /// - Parameter files: Numbers the files that the slices name.
    /// - Returns: The operation's message of the schema.
    func encode(_ files: inout FileNumbering) -> [UInt8]
    /// Reads what ``encode(_:)`` wrote; the bytes may come from anybody.
    ///
    /// - Throws: ``OperationError`` for bytes or shapes that are no operation's.
    init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError)
}

extension UnitOperation {
    /// Most operations read none.
    public var inputNumberCount: Int { 0 }

    /// The kind, for those who do not know the type.
    public var kind: String { Self.kind }
    /// By what its durations are counted, for those who do not know the type.
    public var stage: UnitStage { Self.stage }

    /// Whether another operation is of the same type and equal.
    public func equals(_ other: any UnitOperation) -> Bool { (other as? Self) == self }
}
