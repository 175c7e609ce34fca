import Admission
import Identifiers
import JobPlan
import Logging
import Scheduling
import Telemetry
import UnitOperations

/// Logs the scheduler's decisions.
extension Coordinator {
    private func departure(_ worker: WorkerID, _ reason: String, _ units: Int) -> Logger.Metadata {
        [LogKeys.worker: "\(worker)", LogKeys.cause: "\(reason)", "units": "\(units)"]
    }

    /// The fields of a log line about a unit: its job, its place in the plan, its title and its layer.
    private func fields(_ unit: UnitReference) -> Logger.Metadata {
        var fields: Logger.Metadata = [LogKeys.job: "\(unit.job)", LogKeys.unit: "\(unit.unit)"]
        if let plan = jobs[unit.job]?.plan, plan.units.indices.contains(unit.unit.position) {
            let planned = plan.units[unit.unit.position]
            fields[LogKeys.title] = "\(planned.title)"
            if let group = planned.group { fields[LogKeys.layer] = "\(plan.blocks[group].name)" }
        }
        return fields
    }

    /// The fields of a leased unit, with its executor and its attempt.
    private func fields(_ leased: LeasedUnit, _ executor: UnitExecutorName) -> Logger.Metadata {
        fields(leased.unit).merging([LogKeys.worker: "\(executor)", LogKeys.attempt: "\(leased.attempt)"]) { $1 }
    }

    /// Logs each further tenth of a job, and the end of a pause.
    func logProgress() {
        let running = settled.running
        let waiting = Set(running.lazy.filter { $0.pauseReason != nil }.map(\.id))
        for (job, repetitions) in history.pauses.takeEnded(among: running.map(\.id), isPaused: waiting.contains) {
            logger.notice(
                "a job goes on after a pause", metadata: [LogKeys.job: "\(job)", "repetitions": "\(repetitions)"])
        }
        for (status, tenths) in history.newTenths(of: running) {
            logger.info(
                "job progresses",
                metadata: [
                    LogKeys.job: "\(status.id)", "percent": "\(10 * tenths)",
                    "units": "\(status.finishedUnits)/\(status.totalUnits)",
                ])
        }
    }

    /// Logs how a job ended, and why.
    func logEnd(of job: JobID, _ outcome: JobOutcome?) {
        var fields: Logger.Metadata = [LogKeys.job: "\(job)"]
        switch outcome {
        case .succeeded: fields["outcome"] = "succeeded"
        case .cancelled: fields["outcome"] = "cancelled"
        case .failed(let failure):
            fields["outcome"] = "failed"
            fields[LogKeys.cause] = "\(failure.message)"
        case nil: break
        }
        logger.notice("job ended", metadata: fields)
    }

    /// Writes the log line of a notice.
    func log(_ notice: SchedulerNotice) {
        switch notice {
        case .workerJoined(let worker): logger.notice("worker joined", metadata: [LogKeys.worker: "\(worker)"])
        case .workerLeft(let worker, let reason, let units):
            logger.notice("worker left", metadata: departure(worker, reason, units))
        case .workerLost(let worker, let reason, let units):
            logger.warning("worker lost", metadata: departure(worker, reason, units))
        case .workerDraining(let worker): logger.notice("worker drains", metadata: [LogKeys.worker: "\(worker)"])
        default: logUnit(notice)
        }
    }

    private func logUnit(_ notice: SchedulerNotice) {
        switch notice {
        case .unitRetried(let unit, let executor, let failure, let failures):
            let cause: Logger.Metadata = [LogKeys.cause: "\(failure.message)", "failures": "\(failures)"]
            logger.warning("unit will be tried again", metadata: fields(unit, executor).merging(cause) { $1 })
        case .unitMoved(let unit, let from, let to):
            logger.debug("unit moved", metadata: fields(unit).merging(["from": "\(from)", "to": "\(to)"]) { $1 })
        case .lateResultUsed(let unit, let executor):
            logger.info("late result used", metadata: fields(unit, executor))
        case .resultsDiffer(let unit, let executor):
            logger.error(
                "two results of one unit differ; machines that must agree do not", metadata: fields(unit, executor))
        case .stragglerRepeated(let unit, let worker):
            logger.info("a unit that takes long is computed a second time", metadata: fields(unit, .worker(worker)))
        case .leaseExpired(let unit, let worker, let wasUnderWay):
            logger.warning(
                wasUnderWay ? "a unit made no progress; its lease ended" : "a lease was lost on its way",
                metadata: fields(unit, .worker(worker)))
        case .unitRevived(let unit): logger.info("a lost blob is computed again", metadata: fields(unit))
        case .unitRestored(let unit): logger.info("lost blobs are back", metadata: fields(unit))
        case .unitPaused(let unit, let executor, let reason):
            // Every unit meets a full disk again and again. The job's log has the first; the end of the pause counts.
            logger.log(
                level: history.pauses.insert(reason, of: unit.unit.job) ? .warning : .debug,
                "a unit waits for room on a disk",
                metadata: fields(unit, executor).merging([LogKeys.cause: "\(reason)"]) { $1 })
        case .inputsLost(let unit, let executor, let reason):
            logger.warning(
                "an input of a unit was lost; it is made again",
                metadata: fields(unit, executor).merging([LogKeys.cause: "\(reason)"]) { $1 })
        case .filesLost(let unit, let reason):
            logger.warning(
                "staged files are damaged; they are written again",
                metadata: fields(unit).merging([LogKeys.cause: "\(reason)"]) { $1 })
        case .placesLost(let unit, let count, let reason):
            logger.warning(
                "outputs in a staged file are damaged; they are written again",
                metadata: fields(unit).merging(["outputs": "\(count)", LogKeys.cause: "\(reason)"]) { $1 })
        case .noWorkerFits(let unit, let memory):
            logger.warning(
                "a unit waits for a worker with more memory",
                metadata: fields(unit).merging(["needed_mib": "\(memory >> 20)"]) { $1 })
        case .workerJoined, .workerLeft, .workerLost, .workerDraining: break
        }
    }
}
