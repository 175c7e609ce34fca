import BlobStore
import Identifiers
import JobPlan
import Messaging
import Scheduling
import WireProtocol
import ZeroMQ

/// What workers say.
extension Coordinator {
    /// Takes in a worker's message.
    func handle(_ message: WorkerMessage, payload: Frame?, from peer: RoutingIdentity) async {
        if case .hello(let hello) = message {
            await welcome(hello, peer)
            return
        }
        guard let worker = worker(at: peer) else {
            // It greeted an earlier life of this coordinator, or was given up: it shall greet again.
            await endpoint.send(.coordinator(.unknownWorker), to: peer)
            // What it has finished meanwhile is still worth having.
            if case .finished(let name, let result, let elapsed, let kernels) = message {
                finish(name, by: WorkerID(rawValue: "\(peer)"), result, elapsed, kernels)
            }
            return
        }
        noteSign(of: worker)
        switch message {
        case .hello, .heartbeat: break
        case .started(let name): happen(.unitStarted(name.unit, name.attempt, by: worker))
        case .finished(let name, let result, let elapsed, let kernels):
            workers[worker]?.finishedUnits += 1
            finish(name, by: worker, result, elapsed, kernels)
        case .failed(let name, let isBadInput, let message):
            let failure = UnitFailure(kind: isBadInput ? .badInput : .world, message: message)
            happen(.unitFailed(name.unit, name.attempt, by: .worker(worker), failure))
        case .goodbye(let reason): happen(.workerLeft(worker, reason: reason))
        case .rangeRequest(let range): transferSink.yield((.range(range, inputFile(range.source)), peer))
        case .rangeCredit(let transfer, let chunks):
            transferSink.yield((.credit(transfer: transfer, chunks: chunks), peer))
        case .uploadOffer(let transfer, let blob): transferSink.yield((.offer(transfer: transfer, blob), peer))
        case .uploadChunk(let transfer, let offset):
            if let payload { transferSink.yield((.chunk(transfer: transfer, offset: offset, payload), peer)) }
        }
    }

    /// Any message is a sign of life; a busy transfer is noted a few times a second.
    private func noteSign(of worker: WorkerID) {
        let now = ContinuousClock.now
        guard let last = workers[worker]?.lastSign, now - last >= .milliseconds(200) else { return }
        workers[worker]?.lastSign = now
        happen(.workerHeard(worker))
    }

    private func welcome(_ hello: WorkerHello, _ peer: RoutingIdentity) async {
        let isNewConnection = workers[hello.worker].map { $0.hello.connection != hello.connection } ?? false
        workers[hello.worker] = ConnectedWorker(
            identity: peer, hello: hello, finishedUnits: workers[hello.worker]?.finishedUnits ?? 0)
        await endpoint.send(
            .coordinator(
                .welcome(coordinator: configuration.build, heartbeatInterval: configuration.heartbeatInterval)),
            to: peer)
        // Both at once: no other event may come between, or its new entry would be forgotten with the old one.
        if isNewConnection { happen(.workerLeft(hello.worker, reason: "its connection broke")) }
        let capacity = WorkerCapacity(lanes: hello.lanes, memoryBytes: hello.memoryBytes)
        happen(.workerJoined(hello.worker, capacity))
    }

    private func worker(at peer: RoutingIdentity) -> WorkerID? {
        workers.first { $0.value.identity == peer }?.key
    }

    /// A result is worth something only when its blobs are in the store.
    private func finish(
        _ name: LeasedUnitName, by worker: WorkerID, _ result: UnitResult, _ elapsed: Double, _ kernels: Double
    ) {
        guard result.blobs.allSatisfy({ store.contains($0.digest) }) else {
            let failure = UnitFailure(kind: .world, message: "the unit's results are not in the blob store")
            happen(.unitFailed(name.unit, name.attempt, by: .worker(worker), failure))
            return
        }
        happen(
            .unitFinished(
                name.unit, name.attempt, by: .worker(worker), result,
                UnitTiming(elapsedSeconds: elapsed, kernelSeconds: kernels)))
    }
}
