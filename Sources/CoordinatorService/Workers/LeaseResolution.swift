import Admission
import Identifiers
import JobPlan
import Scheduling
import UnitOperations
import WireProtocol

/// Turns a planned unit into a lease with the digests of its blobs and the identities of its files.
struct LeaseResolution {
    let job: Job
    /// The job's files.
    let staged: StagedOutputs?
    /// A finished unit's result.
    let result: @Sendable (UnitIndex) -> UnitResult?
    /// Whether reports on the unit may wait for others.
    let isBrief: Bool

    /// Resolves a unit.
    ///
    /// - Returns: The lease, or `nil` when a result that it depends on is missing.
    func lease(_ leased: LeasedUnit) -> UnitLease? {
        let unit = job.plan.units[leased.unit.unit.position]
        guard let operation = unit.operation, let inputs = job.plan.inputs(of: unit, result: result) else { return nil }
        var files: [Int: LeasedFile] = [:]
        for slice in operation.slices where files[slice.file] == nil {
            let file = job.plan.inventory.files[slice.file]
            files[slice.file] = LeasedFile(
                path: file.path, byteCount: file.byteCount, headerDigest: file.headerDigest)
        }
        return UnitLease(
            leased: leased, title: unit.title, subject: unit.subject, operation: operation, inputs: inputs,
            files: files, places: staged?.places(of: unit.index) ?? [], isBrief: isBrief)
    }
}
