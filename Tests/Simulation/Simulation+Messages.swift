import Hashing
import Identifiers
import JobPlan
import OrderedCollections
import Scheduling
import UnitOperations

/// What the coordinator's service makes of workers' messages.
extension Simulation {
    mutating func receive(_ message: UpwardMessage, from worker: WorkerID) {
        guard coordinator.isUp else { return }
        log.note(time, "\(worker) says \(message)")
        if case .hello(let connection, let capacity) = message { return welcome(worker, connection, capacity) }
        guard coordinator.connected[worker] != nil else {
            // It greeted an earlier life of this coordinator, or was given up: it shall greet again. What it has
            // finished meanwhile is still worth having.
            send(.unknownWorker, to: worker)
            if case .finished(let lease, let result, let seconds) = message { finish(lease, worker, result, seconds) }
            return
        }
        switch message {
        case .dropped, .collectFailure, .upload, .want: happen(.workerHeard(worker))
        // What else is said is a sign of life to the scheduler by itself.
        default: break
        }
        switch message {
        case .hello: break
        case .heartbeat(let progress): happen(.workerProgressed(worker, progress))
        case .started(let lease): happen(.unitStarted(lease, by: worker))
        case .finished(let lease, let result, let seconds): finish(lease, worker, result, seconds)
        case .failed(let lease, let failure):
            happen(.unitFailed(lease, by: .worker(worker), failure))
        case .held(let blobs): happen(.blobsHeld(worker, blobs))
        case .dropped(let blobs): happen(.blobsDropped(worker, blobs))
        case .collectFailure(let blob):
            // A repeated message, or one about a blob that is no longer wanted, says nothing about the worker.
            guard coordinator.scheduler.isCollecting(blob, from: worker) else { return }
            happen(.collectionFailed(blob, from: worker))
        case .upload(let blob, let isDamaged): store(blob, from: worker, isDamaged: isDamaged)
        case .want(let blob): serve(blob, to: worker)
        case .draining: happen(.workerDraining(worker))
        case .goodbye: happen(.workerLeft(worker, reason: "goodbye"))
        }
    }

    private mutating func welcome(_ worker: WorkerID, _ connection: Int, _ capacity: WorkerCapacity) {
        let isNewConnection = coordinator.connected[worker].map { $0 != connection } ?? false
        coordinator.connected[worker] = connection
        send(.welcome, to: worker)
        if isNewConnection { happen(.workerLeft(worker, reason: "its connection broke")) }
        happen(.workerJoined(worker, capacity))
    }

    private mutating func finish(_ lease: LeasedUnit, _ worker: WorkerID, _ result: UnitResult, _ seconds: Double) {
        let timing = UnitTiming(elapsedSeconds: seconds, kernelSeconds: seconds / 2)
        var result = result
        result.placed = place(result, of: lease.unit, by: worker)
        happen(.unitFinished(lease, by: .worker(worker), result, timing))
    }

    /// Writes outputs into their files, as a worker does that sees the staging directory.
    private mutating func place(
        _ result: UnitResult, of unit: UnitReference, by worker: WorkerID
    ) -> [Int: Checksum]? {
        let positions = jobs[position(of: unit.job)].filed[unit.unit] ?? []
        let seesStaging = (self.positions[worker] ?? 0) % 3 != 0
        guard seesStaging, !positions.isEmpty, coordinator.scheduler.plan(of: unit.job) != nil else { return nil }
        for position in positions {
            guard let blob = result.blob(at: position) else { return nil }
            coordinator.places[unit.job, default: [:]][UnitOutput(unit.unit, position)] = blob.digest
        }
        // The simulation compares digests instead.
        return Dictionary(uniqueKeysWithValues: positions.map { ($0, Checksum(high: 0, low: 0)) })
    }

    /// Takes in a blob whose bytes have come.
    private mutating func store(_ blob: BlobReference, from worker: WorkerID, isDamaged: Bool) {
        guard coordinator.scheduler.isWanted(blob.digest) else { return }
        guard !isDamaged else {
            send(.discard(blob.digest), to: worker)
            return happen(.collectionFailed(blob.digest, from: worker))
        }
        guard coordinator.hasRoom(at: time) else {
            return happen(.collectionPaused(blob.digest, reason: "the disk is full"))
        }
        coordinator.store[blob.digest] = SimulatedWorker.Blob(byteCount: blob.byteCount)
        happen(.blobStored(blob))
        for waiting in coordinator.waiting.removeValue(forKey: blob.digest) ?? [] { send(.bytes(blob), to: waiting) }
    }

    private mutating func serve(_ blob: BlobDigest, to worker: WorkerID) {
        if let stored = coordinator.store[blob], !stored.isDamaged {
            return send(.bytes(BlobReference(digest: blob, byteCount: stored.byteCount)), to: worker)
        }
        if coordinator.store.removeValue(forKey: blob) != nil { happen(.blobUnreadable(blob)) }
        if coordinator.waiting[blob, default: []].contains(worker) == false {
            coordinator.waiting[blob, default: []].append(worker)
        }
        happen(.blobWanted(blob))
    }
}
