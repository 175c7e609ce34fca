import Identifiers
import JobPlan
import OrderedCollections
import Scheduling
import UnitOperations

/// The order in which effects are performed.
extension Referee {
    /// The effects that this process of the coordinator has performed.
    struct Performance {
        /// Jobs that were released.
        var isLetGo: Set<JobID> = []
        /// Workers whose conversation ended and that have not come back.
        var forgotten: Set<WorkerID> = []
        /// Units that were leased to workers and not revoked.
        var sent: [WorkerID: Set<LeasedUnit>] = [:]
        /// Jobs that clients can query.
        var settled: Set<JobID> = []
        /// The jobs that had ended at the decision of each removal of blobs.
        var removals: [Set<JobID>] = []
    }

    /// Checks that an effect is durable and in its turn.
    mutating func willPerform(_ effect: SchedulerEffect, _ jobs: [SimulatedJob], _ ids: [JobID]) {
        switch effect {
        case .tell(let notice):
            checkTurn(of: "\(notice)", about: notice.job)
            // The worker joined again in the same batch.
            if case .workerJoined(let worker) = notice { performance.forgotten.remove(worker) }
        case .forget(let worker):
            performance.sent[worker] = nil
            if capacities[worker] == nil { performance.forgotten.insert(worker) }
        case .send(let order): check(sent: order, jobs, ids)
        case .compute(let lease): checkBegin(lease, jobs, ids)
        case .tellUnavailable: break
        case .letGo(let job):
            if outcomes[job] == nil { violations.append("\(job) is let go, and its end is not durable") }
            for (worker, leases) in performance.sent {
                for lease in leases where lease.unit.job == job {
                    violations.append("\(job) is let go while \(worker) has \(lease.unit)")
                }
            }
            performance.isLetGo.insert(job)
        case .remove, .clearStore:
            let ended = performance.removals.isEmpty ? [] : performance.removals.removeFirst()
            for job in ended where !performance.isLetGo.contains(job) {
                violations.append("blobs are removed before \(job) is let go")
            }
        case .settle:
            for job in outcomes.keys where !performance.isLetGo.contains(job) {
                violations.append("clients are told of the end of \(job), which is not let go")
            }
            performance.settled = Set(accepted.keys)
        case .accept(let job):
            if !performance.settled.contains(job) { violations.append("\(job) is accepted and cannot be asked about") }
        }
    }

    private mutating func check(sent addressed: AddressedOrder, _ jobs: [SimulatedJob], _ ids: [JobID]) {
        let worker = addressed.worker
        if capacities[worker] != nil { performance.forgotten.remove(worker) }
        if performance.forgotten.contains(worker) {
            violations.append("\(addressed.order) is for \(worker), who is forgotten")
        }
        switch addressed.order {
        case .lease(let lease):
            checkBegin(lease, jobs, ids)
            // A result from an earlier process may already have answered the lease in the same batch.
            if given[worker]?[lease] != nil { performance.sent[worker, default: []].insert(lease) }
        case .revoke(let lease): performance.sent[worker]?.remove(lease)
        case .collect, .discard, .drain, .dismiss: break
        }
    }

    private mutating func checkTurn(of effect: String, about job: JobID?) {
        if let job, performance.isLetGo.contains(job) { violations.append("\(effect) comes after \(job) was let go") }
    }

    private mutating func checkBegin(_ lease: LeasedUnit, _ jobs: [SimulatedJob], _ ids: [JobID]) {
        checkTurn(of: "the lease of \(lease.unit)", about: lease.unit.job)
        if accepted[lease.unit.job] == nil { violations.append("\(lease.unit) is leased and its job is not durable") }
        let unit = jobs[ids.firstIndex(of: lease.unit.job) ?? 0].plan.units[lease.unit.unit.position]
        for dependency in unit.dependencies
        where finished[UnitReference(job: lease.unit.job, unit: dependency)] == nil {
            violations.append("\(lease.unit) is sent before the result of \(dependency) is durable")
        }
    }
}

extension SchedulerEffect {
    /// Whether the effect removes blobs of the coordinator's store.
    var isRemoval: Bool {
        switch self {
        case .remove, .clearStore: true
        default: false
        }
    }
}

extension SchedulerNotice {
    /// The job that a notice is about.
    fileprivate var job: JobID? {
        switch self {
        case .workerJoined, .workerLeft, .workerLost, .workerDraining: nil
        case .unitRetried(let leased, _, _, _), .lateResultUsed(let leased, _), .resultsDiffer(let leased, _),
            .stragglerRepeated(let leased, _), .leaseExpired(let leased, _, _), .unitPaused(let leased, _, _),
            .inputsLost(let leased, _, _):
            leased.unit.job
        case .unitMoved(let unit, _, _), .unitRevived(let unit), .unitRestored(let unit), .filesLost(let unit, _),
            .placesLost(let unit, _, _),
            .noWorkerFits(let unit, _):
            unit.job
        }
    }
}
