import FileAccess
public import Identifiers
public import Safetensors
import Synchronization

/// The open input files of a job, in the order of its inventory.
public final class JobInputs: Sendable {
    /// The files, as the slices of the inventory number them.
    public let files: [SafetensorsFile]
    /// The base.
    public let base: SafetensorsSet
    private let baseDigestMemory = Mutex<BlobDigest?>(nil)

    init(files: [SafetensorsFile], base: SafetensorsSet) {
        self.files = files
        self.base = base
    }

    /// The base's digest: SHA-256 of its file; for a sharded base, SHA-256 of the digests of its files in order.
    ///
    /// - Throws: `SafetensorsError` when a file cannot be read.
    public func baseDigest() throws -> BlobDigest {
        if let known = baseDigestMemory.withLock({ $0 }) { return known }
        let digests = try base.files.map { try $0.sha256() }
        let bytes = digests.count == 1 ? digests[0] : FileDigest.sha256(of: digests.flatMap { $0 })
        let digest = BlobDigest(sha256: bytes)
        baseDigestMemory.withLock { $0 = digest }
        return digest
    }
}
