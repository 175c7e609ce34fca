import Hashing
public import Identifiers

/// The digest of an operation and its inputs.
///
/// Equal keys have equal results in every job, within one numeric regime. A result's key names the regime too
/// (``ResultKey``).
///
/// Source: DESIGN section 5: "a unit's key is the digest of its operation and inputs: what is already known is not
/// computed again". The digest covers the bytes of the operation as in leases, the digests of blobs and the bits of
/// numbers. Of a file it covers path, size, modification time and header, as a job's fingerprint does.
public struct UnitKey: Hashable, Sendable, Codable {
    /// SHA-256 over the operation and its inputs.
    public let digest: BlobDigest

    /// Raised when operations of equal bytes have other results than before.
    private static let version = 6

    /// Takes the key of a record.
    public init(digest: BlobDigest) {
        self.digest = digest
    }

    /// Computes the key of an operation.
    ///
    /// - Parameters:
    ///   - operation: The operation.
    ///   - inputs: The results of other units that it reads.
    ///   - files: The job's input files, which the operation's slices name by their positions.
    public init(of operation: any UnitOperation, inputs: UnitInputs, files: [InputFile]) {
        let encoded = EncodedOperation(operation)
        var hash = SHA256()
        // The length precedes each part, so different parts cannot form the same bytes.
        func absorb(_ bytes: some Collection<UInt8>) {
            hash.update(Array("\(bytes.count):".utf8))
            hash.update(Array(bytes))
        }
        func absorb(_ text: String) { absorb(text.utf8) }
        absorb("kfacd unit \(Self.version)")
        absorb(encoded.kind)
        absorb(encoded.bytes)
        absorb("\(encoded.files.count) files, \(inputs.blobs.count) blobs, \(inputs.numbers.count) lists")
        for file in encoded.files.map({ files[$0] }) {
            absorb(file.path)
            absorb("\(file.byteCount) \(file.modificationTime) \(file.headerDigest)")
        }
        for blob in inputs.blobs { absorb(blob.digest.description) }
        for list in inputs.numbers { absorb(list.map { String($0.bitPattern) }.joined(separator: " ")) }
        digest = BlobDigest(sha256: hash.finalize())
    }
}
