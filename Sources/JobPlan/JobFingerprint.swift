import Crypto
public import Identifiers
import UnitOperations

extension JobInventory {
    /// The digest of a job: its file's text, and the identity of every file that it reads.
    ///
    /// Equal fingerprints mean equal plans, and so equal results. A job submitted twice is one job, and after a restart
    /// the journal's results belong to the new plan. A file's identity is its path, size, modification time and header;
    /// contents are not read again.
    ///
    /// - Parameters:
    ///   - specText: The job file's text.
    ///   - output: Absolute path of the output directory.
    /// - Returns: The SHA-256 over the text, the path and the identities.
    public func fingerprint(specText: String, output: String) -> BlobDigest {
        var hash = SHA256()
        func absorb(_ text: String) {
            // Lengths separate neighbouring texts.
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
