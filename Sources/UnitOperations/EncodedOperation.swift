/// An operation as it travels and as it enters keys: equal operations on equal files give equal bytes.
public struct EncodedOperation: Hashable, Sendable {
    /// Which operation it is.
    public var kind: String
    /// Its fields.
    public var bytes: [UInt8]
    /// The files that it reads, by their positions in the job's inventory, in the order in which it first reads them.
    public var files: [Int]

    /// Collects what came with a lease.
    public init(kind: String, bytes: [UInt8], files: [Int]) {
        self.kind = kind
        self.bytes = bytes
        self.files = files
    }

    /// Writes an operation down.
    public init(_ operation: any UnitOperation) {
        var files = FileNumbering()
        bytes = operation.encode(&files)
        kind = operation.kind
        self.files = files.files
    }

    /// The operation.
    ///
    /// Only bytes that this program would write itself are read: a field that it does not know would change the result.
    ///
    /// - Throws: ``OperationError``.
    public func decoded() throws(OperationError) -> any UnitOperation {
        guard let type = OperationRegistry.operation(ofKind: kind) else { throw .unknownKind(kind) }
        let operation = try decode(as: type)
        guard EncodedOperation(operation) == self else {
            throw .malformed("\"\(kind)\" is written as this version does not write it")
        }
        return operation
    }

    private func decode(as type: any UnitOperation.Type) throws(OperationError) -> any UnitOperation {
        try type.init(decoding: bytes, files: FileNumbering(files))
    }
}
