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

    /// Collects the parts of a lease.
    public init(
        leased: LeasedUnit, title: String, subject: String, operation: any UnitOperation, inputs: UnitInputs,
        files: [Int: LeasedFile]
    ) {
        self.leased = leased
        self.title = title
        self.subject = subject
        self.operation = operation
        self.inputs = inputs
        self.files = files
    }
}

extension UnitLease: Equatable {
    /// Whether both are the same lease of the same unit.
    public static func == (left: UnitLease, right: UnitLease) -> Bool {
        left.leased == right.leased && left.title == right.title && left.subject == right.subject
            && left.operation.equals(right.operation) && left.inputs == right.inputs
            && left.files == right.files
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
        for (index, file) in zip(indices, wire.files) {
            files[index] = LeasedFile(
                path: file.path, byteCount: file.byteCount, headerDigest: try digest(file.headerDigest))
        }
        self.init(
            leased: try LeasedUnit(wire.unit), title: wire.title, subject: wire.subject,
            operation: try Self.operation(wire, files: indices),
            inputs: UnitInputs(
                blobs: try list(wire.inputs, "the list of inputs") { blob throws(WireError) in
                    try BlobReference(blob)
                },
                numbers: wire.inputNumbers.map(\.values)),
            files: files)
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
            guard let file = files[index] else { return nil }
            var wire = WireInputFile()
            wire.index = UInt32(index)
            wire.path = file.path
            wire.byteCount = file.byteCount
            wire.headerDigest = file.headerDigest.description
            return wire
        }
        wire.inputs = inputs.blobs.map(\.wire)
        wire.inputNumbers = inputs.numbers.map { numbers in
            var wire = WireInputNumbers()
            wire.values = numbers
            return wire
        }
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
