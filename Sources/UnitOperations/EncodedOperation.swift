/// An operation as bytes, for leases and for keys.
///
/// Equal operations on equal files have equal bytes.
public struct EncodedOperation: Hashable, Sendable {
    /// The operation's kind.
    public var kind: String
    /// The encoded fields.
    public var bytes: [UInt8]
    /// The files that it reads, by their positions in the job's inventory, in the order in which it first reads them.
    public var files: [Int]

    /// Takes the parts that a lease carries.
    public init(kind: String, bytes: [UInt8], files: [Int]) {
        self.kind = kind
        self.bytes = bytes
        self.files = files
    }

    /// Encodes an operation.
    public init(_ operation: any UnitOperation) {
        var files = FileNumbering()
        bytes = operation.encode(&files)
        kind = operation.kind
        self.files = files.files
    }

    /// Decodes the operation.
    ///
    /// It refuses bytes that this program would not write itself, because an unknown field would change the result.
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
