import Hashing
public import Identifiers
public import UnitOperations

extension JobInventory {
    /// The digest of a job: its file's text, and the identity of every file that it reads.
    ///
    /// Equal fingerprints mean equal plans, and so equal results. A job submitted twice is one job, and after a restart
    /// the journal's results belong to the new plan. A file's identity is its path, size, modification time and header;
    /// contents are not read again. An `adapter_config.json` is identified by its content. A `config.json` has no
    /// identity, so what it tells about the places and layouts of layers is part of the digest itself.
    ///
    /// - Parameters:
    ///   - specText: The job file's text.
    ///   - output: Absolute path of the output directory.
    ///   - blocks: The plan's blocks.
    ///   - parts: The plan's parts of tensors without factors.
    /// - Returns: The SHA-256 over the text, the path, the identities, and the regions that names do not tell.
    public func fingerprint(
        specText: String, output: String, blocks: [CurvatureBlock] = [],
        parts: [String: ParameterRegion] = [:]
    ) -> BlobDigest {
        var hash = SHA256()
        func absorb(_ text: String) {
            // Lengths separate neighbouring texts.
            hash.update(Array("\(text.utf8.count):".utf8))
            hash.update(Array(text.utf8))
        }
        let limits = PlanLimits()
        absorb("plan \(JobPlan.version), chunks of \(limits.chunkRows), parts of \(limits.partMultiplyAdds)")
        absorb(specText)
        absorb(output)
        for file in files {
            absorb(file.path)
            absorb("\(file.byteCount) \(file.modificationTime) \(file.headerDigest) \(file.role)")
        }
        for (task, checkpoint) in checkpoints.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            if let adapter = checkpoint.adapter { absorb("\(task) is an adapter by \(adapter.configurationDigest)") }
        }
        for (name, other) in base.copies.sorted(by: { $0.key < $1.key }) { absorb("\(name) is a copy of \(other)") }
        for block in blocks {
            for use in block.uses { absorb("\(block.name) is used by \(use.name) \(use.isTransposed)") }
            let plain = [block.name, "\(block.name).weight", "\(block.name).bias"]
            for region in block.regions where region.layout != .outIn || !plain.contains(region.tensor) {
                absorb("\(block.name) is \(region.tensor) \(region.elements) \(region.layout.rawValue)")
            }
        }
        for (name, part) in parts.sorted(by: { $0.key < $1.key }) where part.layout != .outIn || part.tensor != name {
            absorb("\(name) is merged as \(part.tensor) \(part.elements) \(part.layout.rawValue)")
        }
        return BlobDigest(sha256: hash.finalize())
    }
}
