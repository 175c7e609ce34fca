import Identifiers
import JobPlan
import Logging
import Publication
import Scheduling
import Telemetry
import UnitOperations

/// Decides which results of the journal can still be used.
extension Coordinator {
    func lostJob(_ job: JobID, _ reason: String) -> UnitFailure {
        logger.error(
            "a job of the journal cannot go on", metadata: [LogKeys.job: "\(job)", LogKeys.cause: "\(reason)"])
        return UnitFailure(
            kind: .badInput, message: "the job cannot go on after a restart: \(reason). Submit it again.")
    }

    /// Whether a journalled result can still be used.
    ///
    /// Blobs may be anywhere, and are looked for when they are needed. Files must be in the staging directory, and the
    /// record must name this directory and their digests. The digests prove the files before they are published.
    func isUsable(_ unit: UnitReference, _ result: UnitResult, recordedIn row: Int64) -> Bool {
        guard let job = jobs[unit.job], job.plan.units.indices.contains(unit.unit.position) else { return true }
        switch job.plan.units[unit.unit.position].work {
        case .worker, .coordinator(.digestInputs): return true
        case .coordinator(.publish): return job.output.lastUnusableRow.map { row > $0 } ?? false
        case .coordinator: return !result.blobs.isEmpty && (job.output.lastUnusableRow.map { row > $0 } ?? false)
        }
    }

    /// Renews the staging directory when journalled files are gone; later restarts then ignore these records.
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
