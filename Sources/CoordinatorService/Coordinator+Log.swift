import Identifiers
import Logging
import Scheduling
import Telemetry

/// What the log tells of the scheduler's decisions.
extension Coordinator {
    private func forget(_ worker: WorkerID) {
        // It may have come back in the same breath.
        guard !scheduler.workerStatuses.contains(where: { $0.id == worker }), !isJoining(worker) else { return }
        guard let peer = workers.removeValue(forKey: worker)?.identity else { return }
        forgetRequests(of: peer)
        transferSink.yield((.peerGone, peer))
    }

    private func departure(_ worker: WorkerID, _ reason: String, _ units: Int) -> Logger.Metadata {
        [LogKeys.worker: "\(worker)", LogKeys.cause: "\(reason)", "units": "\(units)"]
    }

    func log(_ notice: SchedulerNotice) {
        switch notice {
        case .workerJoined(let worker): logger.notice("worker joined", metadata: [LogKeys.worker: "\(worker)"])
        case .workerLeft(let worker, let reason, let units):
            forget(worker)
            logger.notice("worker left", metadata: departure(worker, reason, units))
        case .workerLost(let worker, let reason, let units):
            forget(worker)
            logger.warning("worker lost", metadata: departure(worker, reason, units))
        case .unitRetried(let unit, let failure, let failures):
            logger.warning(
                "unit will be tried again",
                metadata: [
                    LogKeys.job: "\(unit.job)", LogKeys.unit: "\(unit.unit)", LogKeys.cause: "\(failure.message)",
                    "failures": "\(failures)",
                ])
        case .unitMoved(let unit, let from, let to):
            logger.debug(
                "unit moved",
                metadata: [LogKeys.job: "\(unit.job)", LogKeys.unit: "\(unit.unit)", "from": "\(from)", "to": "\(to)"])
        case .lateResultUsed(let unit, let attempt):
            logger.info(
                "late result used",
                metadata: [LogKeys.job: "\(unit.job)", LogKeys.unit: "\(unit.unit)", LogKeys.attempt: "\(attempt)"])
        case .resultsDiffer(let unit, let executor):
            logger.error(
                "two results of one unit differ; machines that must agree do not",
                metadata: [LogKeys.job: "\(unit.job)", LogKeys.unit: "\(unit.unit)", LogKeys.worker: "\(executor)"])
        case .stragglerRepeated(let unit, let worker):
            logger.info(
                "a unit that takes long is computed a second time",
                metadata: [LogKeys.job: "\(unit.job)", LogKeys.unit: "\(unit.unit)", LogKeys.worker: "\(worker)"])
        case .leaseExpired(let unit, let worker, let wasUnderWay):
            logger.warning(
                wasUnderWay ? "a unit made no progress; its lease ended" : "a lease was lost on its way",
                metadata: [LogKeys.job: "\(unit.job)", LogKeys.unit: "\(unit.unit)", LogKeys.worker: "\(worker)"])
        case .unitRevived(let unit):
            logger.info(
                "a lost blob is computed again",
                metadata: [LogKeys.job: "\(unit.job)", LogKeys.unit: "\(unit.unit)"])
        case .unitRestored(let unit):
            logger.info(
                "lost blobs are back", metadata: [LogKeys.job: "\(unit.job)", LogKeys.unit: "\(unit.unit)"])
        case .unitPaused(let unit, let reason):
            logger.warning(
                "a unit waits for room on a disk",
                metadata: [
                    LogKeys.job: "\(unit.job)", LogKeys.unit: "\(unit.unit)", LogKeys.cause: "\(reason)",
                ])
        case .workerDraining(let worker): logger.notice("worker drains", metadata: [LogKeys.worker: "\(worker)"])
        case .noWorkerFits(let unit, let memory):
            logger.warning(
                "a unit waits for a worker with more memory",
                metadata: [
                    LogKeys.job: "\(unit.job)", LogKeys.unit: "\(unit.unit)", "needed_mib": "\(memory >> 20)",
                ])
        }
    }
}
