/// A computation of a worker: a pure function from slices of files, blobs and numbers to blobs and numbers.
///
/// An operation holds everything that decides its result, except the digests of its blobs and its numbers.
/// ``UnitInputs`` lists them beside the operation, in the order that the operation's type documents. An operation names
/// no layers or tensors: only messages need them, and the unit's subject names them.
///
/// Each operation has one file here, with its fields, cost and encoding, and one file in WorkerService, which executes
/// it.
///
/// Source: DESIGN section 5, "a worker is a pure function from inputs to outputs".
public protocol UnitOperation: Equatable, Sendable {
    /// The operation's name in leases and keys.
    ///
    /// No later operation may reuse a name.
    static var kind: String { get }
    /// The stage that it belongs to.
    static var stage: UnitStage { get }

    /// The slices of input files that it reads.
    var slices: [FileSlice] { get }
    /// Number of blobs that it reads.
    var inputBlobCount: Int { get }
    /// Number of lists of numbers that it reads, each measured by another unit.
    var inputNumberCount: Int { get }
    /// Number of blobs that it makes.
    var outputBlobCount: Int { get }
    /// Number of its last blobs that are the first ones in F64, each twice as large.
    var doubleBlobCount: Int { get }
    /// The cost of the unit.
    var cost: UnitCost { get }
    /// The arithmetic of most of the cost's multiply-adds.
    var kernel: UnitKernel { get }
    /// Seconds on a nominal core of the costliest stage that reports no progress of its own.
    ///
    /// Such a stage is a chunk of rows, or a factorization with all its fallbacks.
    ///
    /// ``UnitCost/nominalSeconds`` has the rate.
    var stageSeconds: Double { get }

    /// Encodes every field; equal fields have equal bytes.
    ///
    /// - Parameter files: Numbers the files that the slices name.
    /// - Returns: The operation's message of the schema.
    func encode(_ files: inout FileNumbering) -> [UInt8]
    /// Decodes the bytes that ``encode(_:)`` made; the bytes are not trusted.
    ///
    /// - Throws: ``OperationError`` for bytes or shapes that are not an operation.
    init(decoding bytes: [UInt8], files: FileNumbering) throws(OperationError)
}

extension UnitOperation {
    /// 0, which is right for most operations.
    public var inputNumberCount: Int { 0 }
    /// 0: most operations give F32 alone.
    public var doubleBlobCount: Int { 0 }
    /// Sums over elements, which is right for operations that stream.
    public var kernel: UnitKernel { .elementSum }

    /// The kind, when the type is not known.
    public var kind: String { Self.kind }
    /// The stage that it belongs to, when the type is not known.
    public var stage: UnitStage { Self.stage }

    /// Whether another operation is of the same type and equal.
    public func equals(_ other: any UnitOperation) -> Bool { (other as? Self) == self }
}
