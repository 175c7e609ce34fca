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
    /// Takes in a worker's message; chunks of uploads do not pass through the coordinator's state.
    nonisolated func receive(_ message: WorkerMessage, payload: Frame?, from peer: RoutingIdentity) async {
        guard case .uploadChunk(let transfer, let offset) = message, let payload else {
            await handle(message, from: peer)
            return
        }
        switch transfers.addChunk(.chunk(transfer: transfer, offset: offset, payload), from: peer, at: .now) {
        case .added(let isSign): if isSign { await hear(peer) }
        case .full: await endForExcess(peer)
        // It is told to greet.
        case .stranger: await handle(message, from: peer)
        }
    }

    /// Takes in a worker's message without bytes.
    func handle(_ message: WorkerMessage, from peer: RoutingIdentity) async {
        if case .hello(let hello) = message {
            await welcome(hello, peer)
            return
        }
        guard let worker = conversations.worker(at: peer) else {
            // It greeted an earlier life of this coordinator, or was given up: it shall greet again.
            await endpoint.send(.coordinator(.unknownWorker), to: peer)
            conversations.hear(message, fromStranger: peer)
            return
        }
        hear(peer)
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
            conversations.noteDropped(blobs.count, by: worker)
            happen(.blobsDropped(worker, blobs))
        case .collectFailure(let blob, let message):
            guard await accepts(blob, from: worker, peer) else { return }
            await pass(.abandoned(blob), from: peer)
            failCollection(of: blob, from: worker, message)
        case .rangeRequest(let range):
            if await accepts(range, from: worker, peer) { await request(range, from: peer) }
        case .rangeCredit(let transfer, let chunks):
            // The rest is not wanted: also where nothing of it was sent yet, since the blob is still being collected.
            if chunks == 0 { waitingRanges.forget(transfer, of: peer) }
            await pass(.credit(transfer: transfer, chunks: chunks), from: peer)
        case .uploadOffer(let transfer, let blob):
            // Only what was asked for: a worker cannot fill the disk.
            let request: TransferService.Request =
                await accepts(blob.digest, from: worker, peer) && scheduler.isWanted(blob.digest)
                ? .offer(transfer: transfer, blob) : .unwanted(transfer: transfer, blob.digest)
            await pass(request, from: peer)
        // One without bytes, or of a conversation that has ended.
        case .uploadChunk: break
        }
    }

    /// Passes on what a peer said of its transfers; one that says more than they can need is not talked to any more.
    func pass(_ request: TransferService.Request, from peer: RoutingIdentity) async {
        if !transfers.add(request, from: peer) { await endForExcess(peer) }
    }

    private func endForExcess(_ peer: RoutingIdentity) async {
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
        switch conversations.noteHeld(blobs.count, by: worker) {
        case .remembered: happen(.blobsHeld(worker, blobs))
        case .firstBeyondBound:
            logger.warning(
                "a worker tells of more blobs than are remembered", metadata: [LogKeys.worker: "\(worker)"])
        case .beyondBound: break
        }
    }

    /// Any message is a sign of life; a busy transfer is noted a few times a second.
    private func hear(_ peer: RoutingIdentity) {
        guard let worker = conversations.worker(at: peer), conversations.noteSign(of: worker, at: .now) else { return }
        happen(.workerHeard(worker))
    }

    /// Takes in a greeting.
    private func welcome(_ hello: WorkerHello, _ peer: RoutingIdentity) async {
        switch conversations.greet(hello, peer) {
        case .refused(let former):
            await end(peer, because: "it greeted as \(former), and then as \(hello.worker); a connection has one name")
        case .welcomed(let formerPeer, let isNewConnection, let results):
            if let formerPeer { endTransfers(of: formerPeer) }
            transfers.open(peer)
            await endpoint.send(
                .coordinator(
                    .welcome(coordinator: configuration.build, heartbeatInterval: configuration.heartbeatInterval)),
                to: peer)
            // Both at once: no other event may come between, or its new entry would be forgotten with the old one.
            if isNewConnection { happen(.workerLeft(hello.worker, reason: "its connection broke")) }
            let capacity = WorkerCapacity(lanes: hello.lanes, memoryBytes: hello.memoryBytes)
            happen(.workerJoined(hello.worker, capacity))
            for early in results { await finish(early.unit, early.result, early.timing, by: hello.worker, peer) }
        }
    }

    private func endTransfers(of peer: RoutingIdentity) {
        waitingRanges.forget(peer)
        transfers.close(peer)
    }

    /// Ends what is under way with a peer whose message was refused: its units go to others, its transfers end.
    func dismiss(_ peer: RoutingIdentity) {
        if let worker = conversations.worker(at: peer) {
            happen(.workerLeft(worker, reason: "its message was refused"))
        }
        transfers.close(peer)
    }

    /// Lets go of what is kept for a worker that is gone.
    func forget(_ worker: WorkerID) {
        // It may have come back since that was decided.
        guard !scheduler.workerStatuses.contains(where: { $0.id == worker }), !isJoining(worker) else { return }
        if let peer = conversations.forget(worker) { endTransfers(of: peer) }
    }

    // MARK: - Blobs

    /// Sends bytes that the coordinator has; a blob that another worker has is collected first.
    private func request(_ range: RangeRequest, from peer: RoutingIdentity) async {
        if case .blob(let digest) = range.source, !store.contains(digest) {
            guard waitingRanges.add(range, for: digest, from: peer) else {
                await pass(.refusal(transfer: range.transfer, "too many requests at once"), from: peer)
                return
            }
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
        for waiter in waitingRanges.take(blob) {
            let message = "no worker has blob \(blob) any more; it is computed again"
            await endpoint.send(
                .coordinator(.rangeFailure(transfer: waiter.range.transfer, message: message)), to: waiter.peer)
        }
    }

    /// Takes in what became of an upload.
    func handle(_ outcome: TransferService.UploadOutcome, from peer: RoutingIdentity) async {
        switch outcome {
        case .stored(let blob):
            happen(.blobStored(blob))
            for waiter in waitingRanges.take(blob.digest) {
                transfers.tell(.range(waiter.range, nil), about: waiter.peer)
            }
        case .damaged(let blob):
            guard let worker = conversations.worker(at: peer) else { return }
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
}
