import Identifiers
import JobPlan
import Logging
import Publication
import Scheduling
import Telemetry
import UnitOperations

/// What of the journal can still be used.
extension Coordinator {
    func lostJob(_ job: JobID, _ reason: String) -> UnitFailure {
        logger.error(
            "a job of the journal cannot go on", metadata: [LogKeys.job: "\(job)", LogKeys.cause: "\(reason)"])
        return UnitFailure(
            kind: .badInput, message: "the job cannot go on after a restart: \(reason). Submit it again.")
    }

    /// Whether a journalled result can still be used.
    ///
    /// Blobs may be anywhere, and are looked for when they are needed; files must be in the staging directory, and the
    /// record must speak of this one and name their digests, by which they are proved before they are published.
    func isUsable(_ unit: UnitReference, _ result: UnitResult, recordedIn row: Int64) -> Bool {
        guard let job = jobs[unit.job], job.plan.units.indices.contains(unit.unit.position) else { return true }
        switch job.plan.units[unit.unit.position].work {
        case .worker, .coordinator(.digestInputs): return true
        case .coordinator(.publish): return job.output.lastUnusableRow.map { row > $0 } ?? false
        case .coordinator: return !result.blobs.isEmpty && (job.output.lastUnusableRow.map { row > $0 } ?? false)
        }
    }

    /// Files are gone that the journal speaks of: so that it is not believed after another restart either.
    func renewStaging(of id: JobID, after row: Int64) {
        guard let output = jobs[id]?.output, output.lastUnusableRow == nil else { return }
        do {
            try output.renew(after: row)
        } catch {
            logger.error(
                "the staging directory cannot be made", metadata: [LogKeys.job: "\(id)", LogKeys.cause: "\(error)"])
        }
    }
}
