public import Identifiers
public import JobPlan
public import Publication
public import PushedRuns

/// A job that can run: its plan, its open files and its output directory.
public final class Job: Sendable {
    /// The job's name.
    public let id: JobID
    /// The units.
    public let plan: JobPlan
    /// The input files.
    public let inputs: JobInputs
    /// The files of pushed runs among them; the job holds the runs as long as it exists.
    public let runs: [RunMembers]
    /// The output directory; nothing is written there before it is claimed.
    public let output: OutputDirectory
    /// The digest of the job file and the headers of its inputs; equal jobs have equal fingerprints.
    public let fingerprint: BlobDigest
    /// The room that the outputs lack now, in words.
    public let shortage: String?
    /// The text of the job file as the user wrote it.
    public let source: String
    /// The samples behind the finished units.
    public let sampleShares: [UnitIndex: SampleShare]

    init(
        id: JobID, plan: JobPlan, inputs: JobInputs, runs: [RunMembers] = [], output: OutputDirectory,
        shortage: String? = nil,
        fingerprint: BlobDigest,
        source: String = ""
    ) {
        self.id = id
        self.plan = plan
        self.inputs = inputs
        self.runs = runs
        self.output = output
        self.shortage = shortage
        self.fingerprint = fingerprint
        self.source = source
        sampleShares = plan.sampleShares
    }
}
