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
    /// Handles a worker's message; chunks of uploads do not pass through this actor.
    nonisolated func receive(_ message: WorkerMessage, payload: Frame?, from peer: RoutingIdentity) async {
        if case .rowSum(let word) = message {
            await receive(word, payload, from: peer)
            return
        }
        guard case .uploadChunk(let transfer, let offset) = message, let payload else {
            await handle(message, from: peer)
            return
        }
        switch transfers.addChunk(.chunk(transfer: transfer, offset: offset, payload), from: peer, at: .now) {
        case .added(let isSign): if isSign { await hear(peer) }
        case .full: await endForExcess(peer)
        // The answer tells the worker to greet.
        case .stranger: await handle(message, from: peer)
        }
    }

    /// Handles words that a worker has joined, none of which is a greeting.
    ///
    /// They have one answer at most, as one message has: the words behind one that ends the conversation count as
    /// unread.
    func handle(_ words: [WorkerMessage], from peer: RoutingIdentity) async {
        guard conversations.worker(at: peer) != nil else {
            await answerStranger(words, at: peer)
            return
        }
        for word in words where !endpoint.isEnded(peer) { await handle(word, from: peer) }
    }

    /// Tells a worker to greet that greeted an earlier process of this coordinator, or counts as lost.
    private func answerStranger(_ words: [WorkerMessage], at peer: RoutingIdentity) async {
        await endpoint.send(.coordinator(.unknownWorker), to: peer)
        for word in words { conversations.hear(word, fromStranger: peer) }
    }

    /// Handles a worker's message without bytes.
    func handle(_ message: WorkerMessage, from peer: RoutingIdentity) async {
        if case .hello(let hello) = message {
            await welcome(hello, peer)
            return
        }
        guard let worker = conversations.worker(at: peer) else {
            await answerStranger([message], at: peer)
            return
        }
        hear(peer)
        switch message {
        case .hello: break
        case .heartbeat(let name, let progress): await note(progress, of: name, by: worker, peer)
        case .started(let name):
            if await accepts(name, from: worker, peer) { happen(.unitStarted(name, by: worker)) }
        case .finished(let name, let result, let elapsed, let kernels):
            let timing = UnitTiming(elapsedSeconds: elapsed, kernelSeconds: kernels)
            await finish(name, result, timing, by: worker, peer)
        case .failed(let name, let failure):
            guard await accepts(name, from: worker, peer) else { return }
            happen(.unitFailed(name, by: .worker(worker), failure))
        case .goodbye(let reason): happen(.workerLeft(worker, reason: reason))
        case .draining:
            happen(.workerDraining(worker))
            rowStreams.tell(.draining, about: peer)
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
            // The rest is not wanted, even when the blob is still being collected and nothing was sent yet.
            if chunks == 0 { waitingRanges.forget(transfer, of: peer) }
            await pass(.credit(transfer: transfer, chunks: chunks), from: peer)
        case .uploadOffer(let transfer, let blob):
            // Only a blob that was asked for is accepted, so that a worker cannot fill the disk.
            let request: TransferService.Request =
                await accepts(blob.digest, from: worker, peer) && scheduler.isWanted(blob.digest)
                ? .offer(transfer: transfer, blob) : .unwanted(transfer: transfer, blob.digest)
            await pass(request, from: peer)
        // The chunk has no bytes, or its conversation has ended.
        case .uploadChunk: break
        // These do not pass through this actor.
        case .rowSum: break
        }
    }

    /// Passes on a peer's transfer message; a peer that sends more than its transfers need is refused from then on.
    func pass(_ request: TransferService.Request, from peer: RoutingIdentity) async {
        if !transfers.add(request, from: peer) { await endForExcess(peer) }
    }

    private func endForExcess(_ peer: RoutingIdentity) async {
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
        switch conversations.noteHeld(blobs.count, by: worker) {
        case .remembered: happen(.blobsHeld(worker, blobs))
        case .firstBeyondBound:
            logger.warning(
                "a worker reports more blobs than can be remembered", metadata: [LogKeys.worker: "\(worker)"])
        case .beyondBound: break
        }
    }

    /// Any message is a sign of life; a busy transfer is noted only a few times a second.
    private func hear(_ peer: RoutingIdentity) {
        guard let worker = conversations.worker(at: peer), conversations.noteSign(of: worker, at: .now) else { return }
        happen(.workerHeard(worker))
    }

    /// Handles a greeting.
    private func welcome(_ hello: WorkerHello, _ peer: RoutingIdentity) async {
        switch conversations.greet(hello, peer) {
        case .refused(let former):
            await end(peer, because: "it greeted as \(former), and then as \(hello.worker); a connection has one name")
        case .welcomed(let formerPeer, let isNewConnection, let results):
            if let formerPeer { endTransfers(of: formerPeer) }
            transfers.open(peer)
            rowStreams.tell(.joined(hello), about: peer)
            await endpoint.send(
                .coordinator(
                    .welcome(
                        coordinator: configuration.build, heartbeatInterval: configuration.heartbeatInterval,
                        idleHeartbeatInterval: configuration.idleHeartbeatInterval)),
                to: peer)
            // Both events are queued together. An event between them would forget the new entry with the old one.
            if isNewConnection { happen(.workerLeft(hello.worker, reason: "its connection broke")) }
            let capacity = WorkerCapacity(
                lanes: hello.lanes, memoryBytes: hello.memoryBytes, regime: hello.regime)
            happen(.workerJoined(hello.worker, capacity))
            for early in results { await finish(early.unit, early.result, early.timing, by: hello.worker, peer) }
        }
    }

    private func endTransfers(of peer: RoutingIdentity) {
        waitingRanges.forget(peer)
        transfers.close(peer)
        rowStreams.tell(.left(reason: "its connection broke, or it was silent for too long"), about: peer)
    }

    /// Ends everything with a peer whose message was refused: its units go to others, and its transfers end.
    func dismiss(_ peer: RoutingIdentity) {
        if let worker = conversations.worker(at: peer) {
            happen(.workerLeft(worker, reason: "its message was refused"))
        }
        transfers.close(peer)
        rowStreams.tell(.left(reason: "its message was refused"), about: peer)
    }

    /// Ends the conversation with a worker that is gone, and its transfers.
    func forget(_ worker: WorkerID) {
        // The worker may have come back since the decision.
        guard !scheduler.workerStatuses.contains(where: { $0.id == worker }), !isJoining(worker) else { return }
        if let peer = conversations.forget(worker) { endTransfers(of: peer) }
    }

    // MARK: - Blobs

    /// Sends bytes that the coordinator has; a blob of another worker is collected first.
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

    /// Handles the loss of a blob in the store; the blob is collected or computed again when it is needed.
    func note(_ loss: BlobLoss) {
        logger.warning("a blob of the store was lost", metadata: [LogKeys.cause: "\(loss)"])
        // The blob may have been stored again meanwhile.
        if let digest = loss.digest, !store.contains(digest) { happen(.blobUnreadable(digest)) }
    }

    /// Handles a blob that nobody has and workers wait for; their units are returned, and the blob is computed again.
    func tellUnavailable(_ blob: BlobDigest) async {
        for waiter in waitingRanges.take(blob) {
            let message = "no worker has blob \(blob) any more; it is computed again"
            await endpoint.send(
                .coordinator(.rangeFailure(transfer: waiter.range.transfer, message: message)), to: waiter.peer)
        }
    }

    /// Handles the outcome of an upload.
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
                "a blob's content does not match its digest; it is discarded",
                metadata: [LogKeys.worker: "\(worker)", "blob": "\(blob)"])
            await endpoint.send(.coordinator(.order(.discard([blob]))), to: peer)
            happen(.collectionFailed(blob, from: worker))
        case .paused(let blob, let reason):
            logger.log(
                level: history.pauses.insert(reason, of: nil) ? .warning : .debug,
                "a blob cannot be stored; jobs wait for it",
                metadata: ["blob": "\(blob)", LogKeys.cause: "\(reason)"])
            happen(.collectionPaused(blob, reason: reason))
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
}
