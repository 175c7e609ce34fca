import Admission
import Identifiers
import JobJournal
import JobPlan
import Logging
import Publication
import Scheduling
import Supervision
import SystemPackage
import Telemetry
import UnitOperations
import WireProtocol

/// Resumes the jobs of the journal; durable results are not computed again.
///
/// The state is the fold of the journal's records through `Scheduler.apply(_:plan:)`. The plans are made again from the
/// jobs' files. A job whose files have changed meanwhile cannot go on.
struct JournalRecovery {
    /// The state with which a coordinator starts.
    struct State {
        var scheduler: Scheduler
        /// The running jobs.
        var jobs: [JobID: Job] = [:]
        /// Their files.
        var staged: [JobID: StagedOutputs] = [:]
        /// The number of the last submitted job.
        var lastJobNumber: Int
    }

    let journal: JobJournal
    let desk: AdmissionDesk
    let owner: ClaimOwner
    let configuration: CoordinatorConfiguration
    let readiness: Readiness
    let removal: FileRemoval
    let logger: Logger

    /// The number of journal records between two progress reports.
    private static let recordsBetweenSigns = 2000
    /// The number of last ended jobs that may have left files after a crash; an earlier start checked earlier jobs.
    private static let remainsMax = 20

    /// Folds the journal into a new scheduler; meanwhile readiness reports the progress.
    ///
    /// - Throws: `JobJournalError` when the journal cannot be read or written, `CancellationError` when the process
    ///   must end. The jobs then stay as they are.
    func run(_ fresh: Scheduler) async throws -> State {
        var state = State(scheduler: fresh, lastJobNumber: await journal.lastJobNumber)
        let records = try await journal.records()
        var outcomes: [JobID: JobOutcome] = [:]
        var ended: [JobID] = []
        for case .jobEnded(let job, let outcome, _) in records.lazy.map(\.record) {
            outcomes[job] = outcome
            ended.append(job)
        }
        var lost: [JournalRecord] = []
        var vanished: Set<JobID> = []
        for (position, (row, record)) in records.enumerated() {
            if position.isMultiple(of: Self.recordsBetweenSigns) {
                readiness.clear("reading the journal: \(position) of \(records.count) records")
                // Requests for metrics are answered meanwhile.
                await Task.yield()
            }
            switch record {
            case .jobAccepted(let header):
                let number = Int(header.id.rawValue.drop { !$0.isNumber }) ?? 0
                state.lastJobNumber = max(state.lastJobNumber, number)
                if outcomes[header.id] != nil {
                    state.scheduler.apply(record)
                } else if let failure = try await resume(header, &state) {
                    // The job's end follows, so its plan is not needed.
                    state.scheduler.apply(record)
                    lost.append(.jobEnded(header.id, .failed(failure), finishedUnits: nil))
                    outcomes[header.id] = .failed(failure)
                    ended.append(header.id)
                }
            case .unitFinished(let unit, _, let result, _, _)
            where !isUsable(unit, result, recordedIn: row, of: state.jobs[unit.job]):
                vanished.insert(unit.job)
            case .unitFinished(let unit, let executor, let result, let timing, let key)
            where result.placed != nil && !isStaged(recordedIn: row, of: state.jobs[unit.job]):
                vanished.insert(unit.job)
                state.scheduler.apply(.unitFinished(unit, executor, result.withoutPlaces, timing, key))
            default: state.scheduler.apply(record)
            }
        }
        for job in vanished { renewStaging(of: state.jobs[job], after: records.last?.row ?? 0) }
        for (id, job) in state.jobs {
            let finished = job.plan.units.map(\.index).filter {
                state.scheduler.result(of: UnitReference(job: id, unit: $0)) != nil
            }
            state.staged[id] = await desk.stage(job, resuming: Set(finished), logger)
        }
        try await journal.append(lost)
        lost.forEach { state.scheduler.apply($0) }
        await removeRemains(of: ended.suffix(Self.remainsMax), outcomes, state.scheduler)
        // A lost job never continues. Its claim would keep other jobs from its output.
        await removal.removeRemains(ofLost: journal.findings.compactMap(\.lostJob), of: owner, configuration.roots)
        for status in state.scheduler.runningStatuses {
            logger.notice(
                "job resumed",
                metadata: [
                    LogKeys.job: "\(status.id)", "finished_units": "\(status.finishedUnits)",
                    "units": "\(status.totalUnits)",
                ])
        }
        return state
    }

    /// Plans a running job again.
    ///
    /// - Returns: Why the job cannot go on, or `nil`.
    /// - Throws: `CancellationError` when the process must end. The job stays as it is.
    private func resume(_ header: JobHeader, _ state: inout State) async throws(CancellationError) -> UnitFailure? {
        let submission = Submission(
            specText: header.specText, specPath: header.specPath, overwrites: header.overwrites, output: header.output)
        do throws(JobRefusal) {
            let job = try await desk.admit(submission, as: header.id, isResumption: true)
            guard job.fingerprint == header.fingerprint else {
                return lostJob(header.id, "its input files, or the way in which jobs are planned, changed meanwhile")
            }
            try await desk.claimOutput(of: job)
            state.scheduler.apply(.jobAccepted(header), plan: job.plan)
            state.jobs[header.id] = job
            return nil
        } catch {
            guard !Task.isCancelled else { throw CancellationError() }
            return lostJob(header.id, "\(error)")
        }
    }

    private func lostJob(_ job: JobID, _ reason: String) -> UnitFailure {
        logger.error(
            "a job of the journal cannot go on", metadata: [LogKeys.job: "\(job)", LogKeys.cause: "\(reason)"])
        return UnitFailure(
            kind: .badInput, message: "the job cannot go on after a restart: \(reason). Submit it again.")
    }

    /// Whether a journalled result can still be used.
    ///
    /// Blobs are searched for only when they are needed, so their results stay usable. Files must be in the staging
    /// directory that the record names. The record must also have their digests, which are checked before the files are
    /// published.
    private func isUsable(
        _ unit: UnitReference, _ result: UnitResult, recordedIn row: Int64, of job: Job?
    ) -> Bool {
        guard let job, job.plan.units.indices.contains(unit.unit.position) else { return true }
        switch job.plan.units[unit.unit.position].work {
        case .worker, .coordinator(.digestInputs): return true
        case .coordinator(.publish): return isStaged(recordedIn: row, of: job)
        case .coordinator: return !result.blobs.isEmpty && isStaged(recordedIn: row, of: job)
        }
    }

    /// Whether the staging directory still has the files of a record.
    private func isStaged(recordedIn row: Int64, of job: Job?) -> Bool {
        job?.output.lastUnusableRow.map { row > $0 } ?? false
    }

    /// Marks the records of files that are gone as unusable, also for later restarts.
    private func renewStaging(of job: Job?, after row: Int64) {
        guard let job, job.output.lastUnusableRow == nil else { return }
        do {
            try job.output.renew(after: row)
        } catch {
            logger.error(
                "the staging directory cannot be made",
                metadata: [LogKeys.job: "\(job.id)", LogKeys.cause: "\(error)"])
        }
    }

    /// Removes the staged files of ended jobs that a crash may have left, and frees the jobs' outputs.
    private func removeRemains(
        of ended: ArraySlice<JobID>, _ outcomes: [JobID: JobOutcome], _ scheduler: Scheduler
    ) async {
        for id in ended {
            guard let path = scheduler.header(of: id)?.output else { continue }
            let output = OutputDirectory(
                path: FilePath(path), job: id.rawValue, owner: owner, overwrites: false, roots: configuration.roots)
            await removal.removeRemains(of: output, hasSucceeded: outcomes[id] == .succeeded)
        }
    }
}
