public import Identifiers
public import JobPlan

/// A unit on its way to a worker: all that the worker needs to know.
public struct UnitLease: Equatable, Sendable {
    /// The unit and its attempt.
    public var leased: LeasedUnit
    /// What the unit is, for log lines and messages.
    public var title: String
    /// What is to be done, with every blob named by its digest.
    public var operation: WorkerOperation<LeasedBlob>
    /// The input files that the operation's slices refer to.
    public var files: [Int: LeasedFile]

    /// Collects what a worker needs to know.
    public init(
        leased: LeasedUnit, title: String, operation: WorkerOperation<LeasedBlob>, files: [Int: LeasedFile]
    ) {
        self.leased = leased
        self.title = title
        self.operation = operation
        self.files = files
    }
}

/// A blob that a unit reads.
public struct LeasedBlob: Hashable, Sendable {
    /// The blob.
    public var reference: BlobReference

    /// Names a blob that a unit reads.
    public init(reference: BlobReference) {
        self.reference = reference
    }

    init(_ wire: WireBlob) throws(WireError) {
        self.init(reference: try BlobReference(wire))
    }

    var wire: WireBlob { reference.wire }
}

/// An input file, with what tells whether the file that a worker sees at its path is the same.
public struct LeasedFile: Hashable, Sendable {
    /// Absolute path on the coordinator's machine.
    public var path: String
    /// Size in bytes.
    public var byteCount: UInt64
    /// SHA-256 of the safetensors header with its length.
    public var headerDigest: BlobDigest

    /// Describes an input file.
    public init(path: String, byteCount: UInt64, headerDigest: BlobDigest) {
        self.path = path
        self.byteCount = byteCount
        self.headerDigest = headerDigest
    }
}

extension UnitLease {
    init(_ wire: WireUnitLease) throws(WireError) {
        var files: [Int: LeasedFile] = [:]
        for file in wire.files {
            files[try count(file.index, "a file's index")] = LeasedFile(
                path: file.path, byteCount: file.byteCount, headerDigest: try digest(file.headerDigest))
        }
        let operation: WorkerOperation<LeasedBlob>
        switch wire.operation {
        case .factor(let wire): operation = .factor(try FactorOperation(wire))
        case .invert(let wire): operation = .invert(try InvertOperation(wire))
        case .penalty(let wire): operation = .penalty(try PenaltyOperation(wire))
        case .mergeBlock(let wire): operation = .mergeBlock(try MergeBlockOperation(wire))
        case .importFactor(let wire): operation = .importFactor(try ImportOperation(wire))
        case .combine(let wire): operation = .combine(try CombineOperation(wire))
        case .accumulate(let wire): operation = .accumulate(try AccumulateOperation(wire))
        case .accumulateOptimal(let wire): operation = .accumulateOptimal(try OptimalAccumulateOperation(wire))
        case nil: throw .malformed("a lease has no operation")
        }
        self.init(leased: try LeasedUnit(wire.unit), title: wire.title, operation: operation, files: files)
    }

    var wire: WireUnitLease {
        var wire = WireUnitLease()
        wire.unit = leased.wire
        wire.title = title
        wire.files = files.sorted { $0.key < $1.key }.map { index, file in
            var wire = WireInputFile()
            wire.index = UInt32(index)
            wire.path = file.path
            wire.byteCount = file.byteCount
            wire.headerDigest = file.headerDigest.description
            return wire
        }
        switch operation {
        case .factor(let operation): wire.factor = operation.wire
        case .invert(let operation): wire.invert = operation.wire
        case .penalty(let operation): wire.penalty = operation.wire
        case .mergeBlock(let operation): wire.mergeBlock = operation.wire
        case .importFactor(let operation): wire.importFactor = operation.wire
        case .combine(let operation): wire.combine = operation.wire
        case .accumulate(let operation): wire.accumulate = operation.wire
        case .accumulateOptimal(let operation): wire.accumulateOptimal = operation.wire
        }
        return wire
    }
}
