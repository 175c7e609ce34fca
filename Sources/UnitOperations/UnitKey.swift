import Crypto
public import Identifiers

/// A worker's operation and its inputs, as a digest: equal keys give equal results, in whatever job.
///
/// Source: DESIGN section 5: "a unit's key is the digest of its operation and inputs: what is already known is not
/// computed again". The operation enters by the bytes that travel in leases; blobs by their digests; numbers by their
/// bits; a file by its path, size, modification time and header, as in a job's fingerprint.
public struct UnitKey: Hashable, Sendable, Codable {
    /// SHA-256 over the operation and its inputs.
    public let digest: BlobDigest

    /// Rises whenever an operation that is written the same would be computed differently.
    private static let version = 2

    /// Takes a key from a record.
    public init(digest: BlobDigest) {
        self.digest = digest
    }

    /// Names what an operation computes.
    ///
    /// - Parameters:
    ///   - operation: The operation.
    ///   - inputs: What it reads of other units.
    ///   - files: The job's input files, which the operation's slices name by their positions.
    public init(of operation: any UnitOperation, inputs: UnitInputs, files: [InputFile]) {
        let encoded = EncodedOperation(operation)
        var hash = SHA256()
        // Every part stands behind its length, so that neighbours cannot run into each other.
        func absorb(_ bytes: some Collection<UInt8>) {
            hash.update(data: Array("\(bytes.count):".utf8))
            hash.update(data: Array(bytes))
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
