import BlobStore
import Identifiers
import JobPlan
import Logging
import Messaging
import Scheduling
import Supervision
import Telemetry
import UnitOperations
import WireProtocol
import ZeroMQ

/// Handles the messages of workers.
extension Coordinator {
    /// The most blobs of a worker that the scheduler is told about.
    private static let toldBlobsMax = 1 << 19

    /// Handles a worker's message.
    func handle(_ message: WorkerMessage, payload: Frame?, from peer: RoutingIdentity) async {
        if case .hello(let hello) = message {
            await welcome(hello, peer)
            return
        }
        guard let worker = worker(at: peer) else {
            // The worker greeted an earlier process of this coordinator, or counts as lost. It must greet again.
            await endpoint.send(.coordinator(.unknownWorker), to: peer)
            conduct.noteEarlyWord(of: peer)
            // A unit that it has finished meanwhile can still be used.
            if case .finished(let name, let result, let elapsed, let kernels) = message {
                let timing = UnitTiming(elapsedSeconds: elapsed, kernelSeconds: kernels)
                earlyResults.keep(.init(peer: peer, unit: name, result: result, timing: timing))
            }
            return
        }
        noteSign(of: worker)
        switch message {
        case .hello: break
        case .heartbeat(let name, let progress): await note(progress, of: name, by: worker, peer)
        case .started(let name):
            if await accepts(name, from: worker, peer) { happen(.unitStarted(name.unit, name.attempt, by: worker)) }
        case .finished(let name, let result, let elapsed, let kernels):
            let timing = UnitTiming(elapsedSeconds: elapsed, kernelSeconds: kernels)
            await finish(name, result, timing, by: worker, peer)
        case .failed(let name, let fault, let message):
            guard await accepts(name, from: worker, peer) else { return }
            let failure = UnitFailure(kind: UnitFailure.Kind(fault), message: message)
            happen(.unitFailed(name.unit, name.attempt, by: .worker(worker), failure))
        case .goodbye(let reason): happen(.workerLeft(worker, reason: reason))
        case .draining: happen(.workerDraining(worker))
        case .held(let blobs): note(held: blobs, by: worker)
        case .dropped(let blobs):
            let told = workers[worker]?.toldBlobs ?? 0
            workers[worker]?.toldBlobs = max(told - blobs.count, 0)
            happen(.blobsDropped(worker, blobs))
        case .collectFailure(let blob, let message):
            guard await accepts(blob, from: worker, peer) else { return }
            await pass(.abandoned(blob), from: peer)
            failCollection(of: blob, from: worker, message)
        case .rangeRequest(let range):
            if await accepts(range, from: worker, peer) { await request(range, from: peer) }
        case .rangeCredit(let transfer, let chunks):
            // The rest is not wanted, even when the blob is still being collected and nothing was sent yet.
            if chunks == 0 { forgetRequests(of: peer) { $0.transfer == transfer } }
            await pass(.credit(transfer: transfer, chunks: chunks), from: peer)
        case .uploadOffer(let transfer, let blob):
            // Only a blob that was asked for is accepted, so that a worker cannot fill the disk.
            let request: TransferService.Request =
                await accepts(blob.digest, from: worker, peer) && scheduler.isWanted(blob.digest)
                ? .offer(transfer: transfer, blob) : .unwanted(transfer: transfer, blob.digest)
            await pass(request, from: peer)
        case .uploadChunk(let transfer, let offset):
            if let payload { await pass(.chunk(transfer: transfer, offset: offset, payload), from: peer) }
        }
    }

    /// Passes on a peer's transfer message; a peer that sends more than its transfers need is refused from then on.
    func pass(_ request: TransferService.Request, from peer: RoutingIdentity) async {
        guard !transfers.add(request, from: peer) else { return }
        await end(peer, because: "its transfers exceed their credit; is it a worker of this version?")
    }

    /// Ends the conversation with a worker that breaks the protocol.
    func end(_ peer: RoutingIdentity, because sentence: String) async {
        logger.warning(
            "a worker's connection was ended",
            metadata: [LogKeys.worker: "\(endpoint.name(of: peer))", LogKeys.cause: "\(sentence)"])
        await endpoint.end(peer, because: sentence)
        dismiss(peer)
    }

    /// Notes a worker's blobs; beyond the bound, other workers cannot use them.
    private func note(held blobs: [BlobReference], by worker: WorkerID) {
        let before = workers[worker]?.toldBlobs ?? 0
        workers[worker]?.toldBlobs = min(before + blobs.count, Self.toldBlobsMax + 1)
        if before + blobs.count <= Self.toldBlobsMax {
            happen(.blobsHeld(worker, blobs))
        } else if before <= Self.toldBlobsMax {
            logger.warning(
                "a worker reports more blobs than can be remembered", metadata: [LogKeys.worker: "\(worker)"])
        }
    }

    /// Any message is a sign of life; a busy transfer is noted only a few times a second.
    private func noteSign(of worker: WorkerID) {
        let now = ContinuousClock.now
        guard let last = workers[worker]?.lastSign, now - last >= .milliseconds(200) else { return }
        workers[worker]?.lastSign = now
        happen(.workerHeard(worker))
    }

    /// Handles a greeting; when two connections greet as one worker, the later one is the worker's.
    private func welcome(_ hello: WorkerHello, _ peer: RoutingIdentity) async {
        if let other = worker(at: peer), other != hello.worker {
            await end(peer, because: "it greeted as \(other), and then as \(hello.worker); a connection has one name")
            return
        }
        let former = workers[hello.worker]
        let isNewConnection = former.map { $0.identity != peer || $0.hello.connection != hello.connection } ?? false
        if let old = former?.identity, old != peer {
            forgetRequests(of: old)
            transfers.tell(.peerGone, about: old)
        }
        workers[hello.worker] = ConnectedWorker(
            identity: peer, hello: hello, finishedUnits: former?.finishedUnits ?? 0,
            rate: former?.rate ?? MinuteCounts(minutes: Self.rateMinutes),
            toldBlobs: isNewConnection ? 0 : former?.toldBlobs ?? 0,
            refusedWords: former?.identity == peer ? former?.refusedWords ?? 0 : 0)
        let isReturn = conduct.takeEarlyWord(of: peer) || hello.connection > 0
        conduct.given.greet(hello.worker, lanes: hello.lanes, isReturn: isReturn)
        await endpoint.send(
            .coordinator(
                .welcome(coordinator: configuration.build, heartbeatInterval: configuration.heartbeatInterval)),
            to: peer)
        // Both events are queued together. An event between them would forget the new entry with the old one.
        if isNewConnection { happen(.workerLeft(hello.worker, reason: "its connection broke")) }
        let capacity = WorkerCapacity(lanes: hello.lanes, memoryBytes: hello.memoryBytes)
        happen(.workerJoined(hello.worker, capacity))
        for early in earlyResults.take(from: peer) {
            await finish(early.unit, early.result, early.timing, by: hello.worker, peer)
        }
    }

    /// Ends everything with a peer whose message was refused: its units go to others, and its transfers end.
    func dismiss(_ peer: RoutingIdentity) {
        if let worker = worker(at: peer) { happen(.workerLeft(worker, reason: "its message was refused")) }
        transfers.tell(.peerGone, about: peer)
    }

    private func worker(at peer: RoutingIdentity) -> WorkerID? {
        workers.first { $0.value.identity == peer }?.key
    }

    // MARK: - Blobs

    /// Sends bytes that the coordinator has; a blob of another worker is collected first.
    private func request(_ range: RangeRequest, from peer: RoutingIdentity) async {
        if case .blob(let digest) = range.source, !store.contains(digest) {
            let waiting = waitingRanges.values.reduce(0) { $0 + $1.count { $0.peer == peer } }
            guard waiting < TransferService.transfersPerPeer else {
                await pass(.refusal(transfer: range.transfer, "too many requests at once"), from: peer)
                return
            }
            waitingRanges[digest, default: []].append((range, peer))
            happen(.blobWanted(digest))
            return
        }
        await pass(.range(range, inputFile(range.source)), from: peer)
    }

    /// Handles the loss of a blob in the store; the blob is collected or computed again when it is needed.
    func note(_ loss: BlobLoss) {
        logger.warning("a blob of the store was lost", metadata: [LogKeys.cause: "\(loss)"])
        // The blob may have been stored again meanwhile.
        if let digest = loss.digest, !store.contains(digest) { happen(.blobUnreadable(digest)) }
    }

    /// Handles a blob that nobody has and workers wait for; their units are returned, and the blob is computed again.
    func tellUnavailable(_ blob: BlobDigest) async {
        for (range, peer) in waitingRanges.removeValue(forKey: blob) ?? [] {
            let message = "no worker has blob \(blob) any more; it is computed again"
            await endpoint.send(.coordinator(.rangeFailure(transfer: range.transfer, message: message)), to: peer)
        }
    }

    /// Handles the outcome of an upload.
    func handle(_ outcome: TransferService.UploadOutcome, from peer: RoutingIdentity) async {
        switch outcome {
        case .stored(let blob):
            happen(.blobStored(blob))
            for (range, waiter) in waitingRanges.removeValue(forKey: blob.digest) ?? [] {
                transfers.tell(.range(range, nil), about: waiter)
            }
        case .damaged(let blob):
            guard let worker = worker(at: peer) else { return }
            logger.warning(
                "a blob is not what its name says; it is discarded",
                metadata: [LogKeys.worker: "\(worker)", "blob": "\(blob)"])
            await endpoint.send(.coordinator(.discard([blob])), to: peer)
            happen(.collectionFailed(blob, from: worker))
        case .paused(let blob, let reason): happen(.collectionPaused(blob, reason: reason))
        }
    }

    private func failCollection(of blob: BlobDigest, from worker: WorkerID, _ message: String) {
        // The disk was full, or nobody wants the blob any more. Neither is the worker's fault.
        guard scheduler.isCollecting(blob, from: worker) else { return }
        logger.warning(
            "a blob could not be collected",
            metadata: [LogKeys.worker: "\(worker)", "blob": "\(blob)", LogKeys.cause: "\(message)"])
        happen(.collectionFailed(blob, from: worker))
    }

    /// Forgets ranges that a worker waits for: all of them when it is gone, or those that nobody wants any more.
    func forgetRequests(of peer: RoutingIdentity, where isForgotten: (RangeRequest) -> Bool = { _ in true }) {
        for blob in waitingRanges.keys {
            waitingRanges[blob]?.removeAll { $0.peer == peer && isForgotten($0.range) }
            if waitingRanges[blob]?.isEmpty == true { waitingRanges[blob] = nil }
        }
    }
}

extension UnitFailure.Kind {
    /// The kind of failure that a worker reports.
    fileprivate init(_ fault: UnitFault) {
        self =
            switch fault {
            case .badInput: .badInput
            case .world: .world
            case .noSpace: .noSpace
            case .inputMissing: .inputMissing
            }
    }
}
