import BlobStore
import Identifiers
import JobPlan
import Logging
import Messaging
import Scheduling
import Supervision
import Telemetry
import WireProtocol
import ZeroMQ

/// What workers say.
extension Coordinator {
    /// Blobs of a worker that the scheduler is told of.
    private static let toldBlobsMax = 1 << 19

    /// Takes in a worker's message.
    func handle(_ message: WorkerMessage, payload: Frame?, from peer: RoutingIdentity) async {
        if case .hello(let hello) = message {
            await welcome(hello, peer)
            return
        }
        guard let worker = worker(at: peer) else {
            // It greeted an earlier life of this coordinator, or was given up: it shall greet again.
            await endpoint.send(.coordinator(.unknownWorker), to: peer)
            conduct.noteEarlyWord(of: peer)
            // What it has finished meanwhile is still worth having.
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
        case .failed(let name, let failure):
            guard await accepts(name, from: worker, peer) else { return }
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
            // The rest is not wanted: also where nothing of it was sent yet, since the blob is still being collected.
            if chunks == 0 { forgetRequests(of: peer) { $0.transfer == transfer } }
            await pass(.credit(transfer: transfer, chunks: chunks), from: peer)
        case .uploadOffer(let transfer, let blob):
            // Only what was asked for: a worker cannot fill the disk.
            let request: TransferService.Request =
                await accepts(blob.digest, from: worker, peer) && scheduler.isWanted(blob.digest)
                ? .offer(transfer: transfer, blob) : .unwanted(transfer: transfer, blob.digest)
            await pass(request, from: peer)
        case .uploadChunk(let transfer, let offset):
            if let payload { await pass(.chunk(transfer: transfer, offset: offset, payload), from: peer) }
        }
    }

    /// Passes on what a peer said of its transfers; one that says more than they can need is not talked to any more.
    func pass(_ request: TransferService.Request, from peer: RoutingIdentity) async {
        guard !transfers.add(request, from: peer) else { return }
        await end(peer, because: "more was said of transfers than their credit allows; is it a worker of this version?")
    }

    /// Ends the conversation with a worker that does not keep to the protocol.
    func end(_ peer: RoutingIdentity, because sentence: String) async {
        logger.warning(
            "a worker's connection was ended",
            metadata: [LogKeys.worker: "\(endpoint.name(of: peer))", LogKeys.cause: "\(sentence)"])
        await endpoint.end(peer, because: sentence)
        dismiss(peer)
    }

    /// Notes blobs that a worker has; beyond the bound they are of no use to others.
    private func note(held blobs: [BlobReference], by worker: WorkerID) {
        let before = workers[worker]?.toldBlobs ?? 0
        workers[worker]?.toldBlobs = min(before + blobs.count, Self.toldBlobsMax + 1)
        if before + blobs.count <= Self.toldBlobsMax {
            happen(.blobsHeld(worker, blobs))
        } else if before <= Self.toldBlobsMax {
            logger.warning(
                "a worker tells of more blobs than are remembered", metadata: [LogKeys.worker: "\(worker)"])
        }
    }

    /// Any message is a sign of life; a busy transfer is noted a few times a second.
    private func noteSign(of worker: WorkerID) {
        let now = ContinuousClock.now
        guard let last = workers[worker]?.lastSign, now - last >= .milliseconds(200) else { return }
        workers[worker]?.lastSign = now
        happen(.workerHeard(worker))
    }

    /// Takes in a greeting: of two connections that greet as one worker, the later is the worker's.
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
        // Both at once: no other event may come between, or its new entry would be forgotten with the old one.
        if isNewConnection { happen(.workerLeft(hello.worker, reason: "its connection broke")) }
        let capacity = WorkerCapacity(lanes: hello.lanes, memoryBytes: hello.memoryBytes)
        happen(.workerJoined(hello.worker, capacity))
        for early in earlyResults.take(from: peer) {
            await finish(early.unit, early.result, early.timing, by: hello.worker, peer)
        }
    }

    /// Ends what is under way with a peer whose message was refused: its units go to others, its transfers end.
    func dismiss(_ peer: RoutingIdentity) {
        if let worker = worker(at: peer) { happen(.workerLeft(worker, reason: "its message was refused")) }
        transfers.tell(.peerGone, about: peer)
    }

    /// Lets go of what is kept for a worker that is gone.
    func forget(_ worker: WorkerID) {
        // It may have come back since that was decided.
        guard !scheduler.workerStatuses.contains(where: { $0.id == worker }), !isJoining(worker) else { return }
        guard let peer = workers.removeValue(forKey: worker)?.identity else { return }
        forgetRequests(of: peer)
        transfers.tell(.peerGone, about: peer)
    }

    private func worker(at peer: RoutingIdentity) -> WorkerID? {
        workers.first { $0.value.identity == peer }?.key
    }

    // MARK: - Blobs

    /// Sends bytes that the coordinator has; a blob that another worker has is collected first.
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

    /// A blob of the store is lost: it is collected or computed again when somebody needs it.
    func note(_ loss: BlobLoss) {
        logger.warning("a blob of the store was lost", metadata: [LogKeys.cause: "\(loss)"])
        // It may have come again meanwhile.
        if let digest = loss.digest, !store.contains(digest) { happen(.blobUnreadable(digest)) }
    }

    /// Nobody has a blob that workers wait for: their units are given back, and the blob is made again.
    func tellUnavailable(_ blob: BlobDigest) async {
        for (range, peer) in waitingRanges.removeValue(forKey: blob) ?? [] {
            let message = "no worker has blob \(blob) any more; it is computed again"
            await endpoint.send(.coordinator(.rangeFailure(transfer: range.transfer, message: message)), to: peer)
        }
    }

    /// Takes in what became of an upload.
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
            await endpoint.send(.coordinator(.order(.discard([blob]))), to: peer)
            happen(.collectionFailed(blob, from: worker))
        case .paused(let blob, let reason): happen(.collectionPaused(blob, reason: reason))
        }
    }

    private func failCollection(of blob: BlobDigest, from worker: WorkerID, _ message: String) {
        // A blob that a full disk refused, or that nobody wants any more, says nothing about the worker.
        guard scheduler.isCollecting(blob, from: worker) else { return }
        logger.warning(
            "a blob could not be collected",
            metadata: [LogKeys.worker: "\(worker)", "blob": "\(blob)", LogKeys.cause: "\(message)"])
        happen(.collectionFailed(blob, from: worker))
    }

    /// Forgets the ranges that a worker waits for: all, when it is gone, or those that nobody wants any more.
    func forgetRequests(of peer: RoutingIdentity, where isForgotten: (RangeRequest) -> Bool = { _ in true }) {
        for blob in waitingRanges.keys {
            waitingRanges[blob]?.removeAll { $0.peer == peer && isForgotten($0.range) }
            if waitingRanges[blob]?.isEmpty == true { waitingRanges[blob] = nil }
        }
    }
}
