public import Identifiers
import SwiftProtobuf
public import UnitOperations

/// A unit on its way to a worker, with everything that the worker needs.
public struct UnitLease: Sendable {
    /// The unit and its attempt.
    public var leased: LeasedUnit
    /// The unit's title, for log lines and messages.
    public var title: String
    /// The tensor, the factor or the block that the unit is about, for messages.
    public var subject: String
    /// The operation.
    public var operation: any UnitOperation
    /// The inputs from other units, in the order that the operation defines.
    public var inputs: UnitInputs
    /// The input files that the operation's slices refer to.
    public var files: [Int: LeasedFile]
    /// Where the outputs belong in the job's staged files.
    public var places: [OutputPlace]
    /// Whether the unit takes so little time that reports on it may wait a moment for each other.
    public var isBrief: Bool

    /// Collects the parts of a lease.
    public init(
        leased: LeasedUnit, title: String, subject: String, operation: any UnitOperation, inputs: UnitInputs,
        files: [Int: LeasedFile], places: [OutputPlace] = [], isBrief: Bool = false
    ) {
        self.leased = leased
        self.title = title
        self.subject = subject
        self.operation = operation
        self.inputs = inputs
        self.files = files
        self.places = places
        self.isBrief = isBrief
    }
}

extension UnitLease: Equatable {
    /// Whether both are the same lease of the same unit.
    public static func == (left: UnitLease, right: UnitLease) -> Bool {
        left.leased == right.leased && left.title == right.title && left.subject == right.subject
            && left.operation.equals(right.operation) && left.inputs == right.inputs
            && left.files == right.files && left.places == right.places && left.isBrief == right.isBrief
    }
}

/// A range of a staged file that an output fills.
///
/// A worker that sees the file writes there, and the file does not need the blob any more. Source: DESIGN section 5.
public struct OutputPlace: Hashable, Sendable {
    /// The output's position among the unit's blobs.
    public var position: Int
    /// The file, with the data by which a worker checks that its own file is the same.
    public var file: LeasedFile
    /// The first byte in the file.
    public var offset: UInt64
    /// The rows of the square whose lower triangle the blob is, packed in fp32; `nil` if its bytes are written as they
    /// are.
    public var squareRows: Int?
    /// Whether nobody needs the blob once it stands in its places: no unit reads it, and no later job can.
    public var isOnlyCopy: Bool

    /// Describes a range.
    public init(position: Int, file: LeasedFile, offset: UInt64, squareRows: Int?, isOnlyCopy: Bool = false) {
        self.position = position
        self.file = file
        self.offset = offset
        self.squareRows = squareRows
        self.isOnlyCopy = isOnlyCopy
    }
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
        let indices = try list(wire.files, "the list of files") { file throws(WireError) in
            try count(file.index, "a file's index")
        }
        for (index, file) in zip(indices, wire.files) { files[index] = try LeasedFile(file) }
        self.init(
            leased: try LeasedUnit(wire.unit), title: wire.title, subject: wire.subject,
            operation: try Self.operation(wire, files: indices),
            inputs: UnitInputs(
                blobs: try list(wire.inputs, "the list of inputs") { blob throws(WireError) in
                    try BlobReference(blob)
                },
                numbers: wire.inputNumbers.map(\.values)),
            files: files,
            places: try list(wire.places, "the list of places") { place throws(WireError) in try OutputPlace(place) },
            isBrief: wire.isBrief)
        guard places.allSatisfy({ $0.position < operation.outputBlobCount }) else {
            throw .malformed("a place is for a blob that \"\(operation.kind)\" does not make")
        }
        guard inputs.blobs.count == operation.inputBlobCount, inputs.numbers.count == operation.inputNumberCount else {
            throw .malformed(
                "\"\(operation.kind)\" has \(inputs.blobs.count) blobs and \(inputs.numbers.count) lists of numbers")
        }
    }

    private static func operation(_ wire: WireUnitLease, files: [Int]) throws(WireError) -> any UnitOperation {
        do {
            let bytes: [UInt8] = try wire.operation.serializedBytes()
            return try EncodedOperation(kind: wire.operationKind, bytes: bytes, files: files).decoded()
        } catch let error as OperationError {
            throw .malformed(error.description)
        } catch {
            throw .malformed("an operation cannot be read (\(error))")
        }
    }

    var wire: WireUnitLease {
        var wire = WireUnitLease()
        wire.unit = leased.wire
        wire.title = title
        wire.subject = subject
        let encoded = EncodedOperation(operation)
        wire.operationKind = encoded.kind
        wire.operation = WireOperation(encoded)
        wire.files = encoded.files.compactMap { index in
            guard var wire = files[index]?.wire else { return nil }
            wire.index = UInt32(index)
            return wire
        }
        wire.inputs = inputs.blobs.map(\.wire)
        wire.inputNumbers = inputs.numbers.map { numbers in
            var wire = WireInputNumbers()
            wire.values = numbers
            return wire
        }
        wire.places = places.map(\.wire)
        wire.isBrief = isBrief
        return wire
    }
}

extension LeasedFile {
    fileprivate init(_ wire: WireInputFile) throws(WireError) {
        self.init(path: wire.path, byteCount: wire.byteCount, headerDigest: try digest(wire.headerDigest))
    }

    fileprivate var wire: WireInputFile {
        var wire = WireInputFile()
        wire.path = path
        wire.byteCount = byteCount
        wire.headerDigest = headerDigest.description
        return wire
    }
}

extension OutputPlace {
    fileprivate init(_ wire: WireOutputPlace) throws(WireError) {
        let rows = Int(wire.squareRows)
        self.init(
            position: try count(wire.position, "a place's position"), file: try LeasedFile(wire.file),
            offset: wire.offset, squareRows: rows > 0 ? rows : nil, isOnlyCopy: wire.isOnlyCopy)
        let square = UInt64(wire.squareRows).multipliedReportingOverflow(by: 4 * UInt64(wire.squareRows))
        let end = offset.addingReportingOverflow(square.partialValue)
        guard !square.overflow, !end.overflow, end.partialValue <= file.byteCount else {
            throw .malformed("a place ends after its file")
        }
    }

    fileprivate var wire: WireOutputPlace {
        var wire = WireOutputPlace()
        wire.position = UInt32(position)
        wire.file = file.wire
        wire.offset = offset
        wire.squareRows = UInt32(squareRows ?? 0)
        wire.isOnlyCopy = isOnlyCopy
        return wire
    }
}

extension WireOperation {
    /// The fields of the operation.
    ///
    /// This message does not know them, and keeps their bytes unchanged.
    fileprivate init(_ encoded: EncodedOperation) {
        do {
            try self.init(serializedBytes: encoded.bytes)
        } catch {
            preconditionFailure("an operation that was just written is no message: \(error)")
        }
    }
}
