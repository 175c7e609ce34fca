import Identifiers
import JobPlan
import Publication
import SystemPackage

/// An accepted job: its plan, its open files and its output directory.
final class Job: Sendable {
    let id: JobID
    let plan: JobPlan
    let inputs: JobInputs
    let output: OutputDirectory
    let fingerprint: BlobDigest
    /// The room that the outputs lack now, in words.
    let shortage: String?
    /// The samples behind the finished units.
    let sampleShares: [UnitIndex: SampleShare]

    init(
        id: JobID, plan: JobPlan, inputs: JobInputs, output: OutputDirectory, shortage: String? = nil,
        fingerprint: BlobDigest
    ) {
        self.id = id
        self.plan = plan
        self.inputs = inputs
        self.output = output
        self.shortage = shortage
        self.fingerprint = fingerprint
        sampleShares = plan.sampleShares
    }
}
