import Crypto
public import Identifiers
import UnitOperations

extension JobInventory {
    /// The digest of a job: its file's text and the identity of every file that it reads.
    ///
    /// Equal fingerprints mean equal plans and so equal results: a job submitted twice is one job, and after a
    /// restart the journal's results belong to the plan that is made anew. A file's identity is its path, size,
    /// modification time and header; contents are not read again.
    ///
    /// - Parameters:
    ///   - specText: The job file's text.
    ///   - output: Absolute path of the output directory.
    /// - Returns: SHA-256 over all of it.
    public func fingerprint(specText: String, output: String) -> BlobDigest {
        var hash = SHA256()
        func absorb(_ text: String) {
            // Lengths keep neighbouring texts apart.
            hash.update(data: Array("\(text.utf8.count):".utf8))
            hash.update(data: Array(text.utf8))
        }
        let limits = PlanLimits()
        absorb("plan \(JobPlan.version), chunks of \(limits.chunkRows), parts of \(limits.partMultiplyAdds)")
        absorb(specText)
        absorb(output)
        for file in files {
            absorb(file.path)
            absorb("\(file.byteCount) \(file.modificationTime) \(file.headerDigest) \(file.role)")
        }
        let digest = BlobDigest(sha256: hash.finalize())
        return digest
    }
}
