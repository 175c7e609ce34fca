import Identifiers
import JobPlan
import Scheduling
import UnitOperations

extension SchedulerEffects {
    /// The effects as lines for scenarios, in the order in which they are performed.
    var lines: [String] { records.map(\.line) + inOrder.flatMap(\.lines) }
}

extension SchedulerEffect {
    fileprivate var lines: [String] {
        switch self {
        case .tell(let notice): ["notice: \(notice.line)"]
        case .forget(let worker): ["forgotten: \(worker)"]
        case .send(let order): [order.line]
        case .compute(let lease): ["coordinator: compute \(lease.line)"]
        case .tellUnavailable(let blob): ["not to be had: \(blob.name)"]
        case .letGo(let job): ["ended: \(job)"]
        case .remove(let blobs): blobs.map { "store: remove \($0.name)" }
        case .clearStore: ["store: cleared"]
        case .settle, .accept: []
        }
    }
}

extension LeasedUnit {
    /// `job-1/0#1`: the unit and its attempt.
    var line: String { "\(unit)#\(attempt)" }
}

extension JournalRecord {
    fileprivate var line: String {
        switch self {
        case .jobAccepted(let header): "record: \(header.id) accepted"
        case .unitFinished(let unit, let executor, let result, _, _):
            "record: \(unit) finished by \(executor)\(result.blobs.isEmpty ? "" : ":")"
                + result.blobs.map { " \($0.digest.name)" }.joined()
        case .unitFailed(let unit, let executor, let failure):
            "record: \(unit) failed by \(executor): \(failure.line)"
        case .jobEnded(let job, .succeeded, _): "record: \(job) succeeded"
        case .jobEnded(let job, .cancelled, _): "record: \(job) cancelled"
        case .jobEnded(let job, .failed(let failure), _): "record: \(job) failed: \(failure.line)"
        }
    }
}

extension UnitFailure {
    fileprivate var line: String { "(\(kind.rawValue)) \(message)" }
}

extension AddressedOrder {
    fileprivate var line: String {
        switch order {
        case .lease(let unit): "\(worker): compute \(unit.line)"
        case .revoke(let unit): "\(worker): give up \(unit.line)"
        case .collect(let blob): "\(worker): send \(blob.name)"
        case .discard(let blobs): "\(worker): forget \(blobs.map(\.name).joined(separator: " "))"
        case .drain: "\(worker): take nothing new"
        case .dismiss: "\(worker): leave"
        }
    }
}

extension SchedulerNotice {
    fileprivate var line: String {
        switch self {
        case .workerJoined(let worker): "\(worker) joined"
        case .workerLost(let worker, let reason, let units): "\(worker) lost with \(units) units: \(reason)"
        case .workerLeft(let worker, let reason, let units): "\(worker) left with \(units) units: \(reason)"
        case .unitRetried(let unit, _, let failure, let failures):
            "\(unit.unit) failed \(failures) times: \(failure.line)"
        case .unitMoved(let unit, let from, let to): "\(unit) moved from \(from) to \(to)"
        case .lateResultUsed(let unit, _): "late result of \(unit.line) used"
        case .resultsDiffer(let unit, let executor): "\(executor) has another result of \(unit.unit)"
        case .stragglerRepeated(let unit, let worker): "\(unit.unit) takes long and is repeated on \(worker)"
        case .leaseExpired(let unit, let worker, let wasUnderWay):
            "\(worker) lost its lease of \(unit.unit), \(wasUnderWay ? "which made no progress" : "of which it does not speak")"
        case .unitRevived(let unit): "\(unit) is computed again"
        case .unitRestored(let unit): "\(unit) need not be computed again"
        case .unitPaused(let unit, _, let reason): "\(unit.unit) pauses: \(reason)"
        case .inputsLost(let unit, _, let reason): "\(unit.unit) lost an input: \(reason)"
        case .filesLost(let unit, let reason): "\(unit) lost its files: \(reason)"
        case .placesLost(let unit, let count, let reason): "\(unit) lost \(count) outputs in place: \(reason)"
        case .workerDraining(let worker): "\(worker) takes nothing new"
        case .noWorkerFits(let unit, let bytes): "\(unit) needs \(bytes >> 20) MiB, which no worker has"
        }
    }
}
