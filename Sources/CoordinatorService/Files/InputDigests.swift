import Admission
import Identifiers
import JobPlan
import PushedRuns
import Safetensors
import SystemPackage
import UnitOperations

/// Computes the SHA-256 of every input file for the report; it reads the files once more, beside the other work.
enum InputDigestsWork {
    /// Computes the digests in the inventory's order; a file's digest is at its position among the blobs.
    ///
    /// - Throws: `SafetensorsError` when a file cannot be read, ``CoordinatorWorkError/inputChanged(path:)`` when it
    ///   was rewritten meanwhile, ``CoordinatorWorkError/damagedPush(path:)`` when a pushed file's bytes are not the
    ///   acknowledged ones.
    static func run(_ job: Job) throws -> UnitResult {
        var result = UnitResult()
        for (file, open) in zip(job.plan.inventory.files, job.inputs.files) {
            let bytes = try open.sha256()
            try requireUnchanged(open)
            let digest = BlobDigest(sha256: bytes)
            let acknowledged = job.runs.lazy.compactMap { $0.acknowledgedDigest(of: open.path) }.first
            if let acknowledged, acknowledged != digest {
                throw CoordinatorWorkError.damagedPush(path: open.path.string)
            }
            result.blobs.append(BlobReference(digest: digest, byteCount: file.byteCount))
        }
        return result
    }

    /// Refuses a file that was rewritten since the job was planned.
    ///
    /// - Throws: ``CoordinatorWorkError/inputChanged(path:)``.
    static func requireUnchanged(_ file: SafetensorsFile) throws {
        do {
            try file.requireUnchanged()
        } catch {
            throw CoordinatorWorkError.inputChanged(path: file.path.string)
        }
    }
}
