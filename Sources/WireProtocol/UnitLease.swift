public import Identifiers
public import JobPlan

/// A unit on its way to a worker, with everything that the worker needs.
public struct UnitLease: Equatable, Sendable {
    /// The unit.
    public var unit: UnitReference
    /// The attempt.
    public var attempt: Attempt
    /// The unit's title, for log lines and messages.
    public var title: String
    /// The operation, with every blob named by its digest.
    public var operation: WorkerOperation<LeasedBlob>
    /// The input files that the operation's slices refer to.
    public var files: [Int: LeasedFile]

    /// Collects the parts of a lease.
    public init(
        unit: UnitReference, attempt: Attempt, title: String, operation: WorkerOperation<LeasedBlob>,
        files: [Int: LeasedFile]
    ) {
        self.unit = unit
        self.attempt = attempt
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

/// An input file, with the data by which a worker checks that its own file is the same.
public struct LeasedFile: Hashable, Sendable {
    /// The absolute path on the coordinator's machine.
    public var path: String
    /// Size in bytes.
    public var byteCount: UInt64
    /// SHA-256 of the safetensors header and its length.
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
        let name = try LeasedUnitName(wire.unit)
        self.init(unit: name.unit, attempt: name.attempt, title: wire.title, operation: operation, files: files)
    }

    var wire: WireUnitLease {
        var wire = WireUnitLease()
        wire.unit = LeasedUnitName(unit, attempt).wire
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
