import Foundation
import Identifiers
import JobFiles
import Lanes
import Logging
import Messaging
import PushedRuns
import Telemetry
import WireProtocol
import ZeroMQ

/// Takes the files that clients push, and removes runs.
///
/// It has a thread of its own, because disks may be slow. Long work is done in steps, so that pushes share the thread.
///
/// Every offer and every chunk gets one answer. A chunk is answered after its bytes are written, so a slow disk slows
/// the client.
actor PushDesk {
    /// What clients ask, and the desk itself.
    enum Request: Sendable {
        case offer(PushOffer, BlobReference)
        case chunk(offset: UInt64, Frame)
        /// The desk's own next step of a push.
        case step
        /// The client is gone.
        case gone
    }

    typealias Push = PushPlaces<IncomingPart>.Push

    private let lane = Lane("kfacd.pushes")
    private let store: RunStore
    private let endpoint: CoordinatorEndpoint
    private let queue: PeerQueue<Request>
    private let metrics: CoordinatorMetrics
    private let logger: Logger
    private var places = PushPlaces<IncomingPart>(staleness: .seconds(2), silence: .seconds(60))
    private var refusals = NewsFilter()

    init(
        store: RunStore, endpoint: CoordinatorEndpoint, queue: PeerQueue<Request>, metrics: CoordinatorMetrics,
        logger: Logger
    ) {
        self.store = store
        self.endpoint = endpoint
        self.queue = queue
        self.metrics = metrics
        self.logger = logger
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    private var now: Double { Date.now.timeIntervalSince1970 }

    /// Handles the requests of clients, until the queue ends.
    func run() async {
        for await entry in queue.entries {
            await handle(entry)
            queue.end(entry)
        }
    }

    private func handle(_ entry: PeerQueue<Request>.Entry) async {
        switch entry.request {
        case .offer(let offer, let content): await begin(offer, content, entry.number, entry.peer)
        case .chunk(let offset, let bytes): await append(bytes, at: offset, entry.number, entry.peer)
        case .step:
            if let push = places[entry.peer], push.number == entry.number { await goOn(push, entry.peer) }
        case .gone: end(entry.peer)
        }
    }

    // MARK: - Offers

    private func begin(
        _ offer: PushOffer, _ content: BlobReference, _ number: UInt64, _ peer: RoutingIdentity
    ) async {
        // A connection has one push; a new offer ends the last one, whose bytes stay.
        end(peer)
        let part = PushedPart(run: offer.run, place: offer.place, content: content)
        let client = endpoint.holder(of: peer)
        let sender = Self.words(key: endpoint.keyName(of: peer), host: offer.host)
        let obstacle = places.obstacle(to: part.at, by: client, at: peer, .now)
        if case .stale(let other)? = obstacle {
            await give(up: other, "another connection pushes the file now; this push ended.")
        } else if let sentence = obstacle?.sentence {
            await refuse(part.at, .busy, sentence, number, peer)
            return
        }
        do throws(RunStoreError) {
            switch try store.begin(part, from: sender, at: now) {
            case .whole:
                await answer(.push(PushState(offset: content.byteCount, credit: 0, isWhole: true)), number, peer)
            case .incoming(let incoming):
                let push = Push(
                    number: number, at: part.at, content: incoming, client: client, sender: sender, lastChunk: .now)
                places.begin(push, at: peer)
                queue.open(peer)
                await goOn(push, peer)
            }
        } catch {
            await refuse(error, number, peer)
        }
    }

    /// Hashes what is there already, in steps, and then asks for the rest.
    private func goOn(_ push: Push, _ peer: RoutingIdentity) async {
        places.noteChunk(at: peer, .now)
        if push.content.isReady {
            if push.content.isWhole { await finish(push, peer) } else { await ask(push, peer) }
            return
        }
        do throws(RunStoreError) {
            try push.content.readOn()
            await answer(.progress("reading the bytes that are there already"), push.number, peer)
            queue.tell(.step, number: push.number, about: peer)
        } catch {
            await fail(error, push, peer)
        }
    }

    // MARK: - Chunks

    private func append(_ bytes: Frame, at offset: UInt64, _ number: UInt64, _ peer: RoutingIdentity) async {
        guard let push = places[peer], push.number == number, push.content.isReady else {
            await answer(
                .failure(
                    RequestFailure(
                        kind: .busy, at: "the push", "it is not open (any more). Offer the file again.")), number, peer
            )
            return
        }
        let part = push.content.part
        guard offset == push.content.arrived, bytes.byteCount > 0,
            UInt64(bytes.byteCount) <= part.content.byteCount - offset
        else {
            let what =
                "a chunk of \(bytes.byteCount) bytes came for offset \(offset); expected the next one, for "
                + "\(push.content.arrived) of \(part.content.byteCount). Offer the file again, and send its chunks in order."
            await end(peer) { await refuse(part.at, .badInput, what, number, peer) }
            return
        }
        places.noteChunk(at: peer, .now)
        do throws(RunStoreError) {
            let outcome = bytes.withBytes { bytes in
                Result<Void, RunStoreError> { () throws(RunStoreError) in try push.content.append(bytes) }
            }
            try outcome.get()
            store.note(push.content, at: now)
        } catch {
            await fail(error, push, peer)
            return
        }
        if push.content.isWhole { await finish(push, peer) } else { await ask(push, peer) }
    }

    private func finish(_ push: Push, _ peer: RoutingIdentity) async {
        end(peer)
        let part = push.content.part
        do throws(RunStoreError) {
            try store.finish(push.content, at: now)
        } catch {
            await refuse(error, push.number, peer)
            return
        }
        logger.notice(
            "partial sums were pushed",
            metadata: [
                "run": "\(part.run.rawValue.excerpt)", "rank": "\(part.place.rank)",
                "sequence": "\(part.place.sequence)", LogKeys.bytes: "\(part.content.byteCount)",
                "from": "\(push.sender)",
            ])
        let state = PushState(offset: part.content.byteCount, credit: 0, isWhole: true)
        await answer(.push(state), push.number, peer)
    }

    private func ask(_ push: Push, _ peer: RoutingIdentity) async {
        let state = PushState(offset: push.content.arrived, credit: Int(WireLimits.chunkCredit), isWhole: false)
        await answer(.push(state), push.number, peer)
    }

    // MARK: - Ends

    /// Frees a connection's place; the bytes stay.
    private func end(_ peer: RoutingIdentity) {
        places.end(at: peer)
        queue.close(peer)
    }

    /// Frees a connection's place, and tells the client why before further chunks are refused, so that the cause is the
    /// first answer.
    private func end(_ peer: RoutingIdentity, _ answer: () async -> Void) async {
        places.end(at: peer)
        await answer()
        // Meanwhile it may have offered another file.
        if places[peer] == nil { queue.close(peer) }
    }

    private func give(up peer: RoutingIdentity, _ sentence: String) async {
        guard let push = places[peer] else { return }
        await end(peer) { await refuse(push.at, .busy, sentence, push.number, peer) }
    }

    private func fail(_ error: RunStoreError, _ push: Push, _ peer: RoutingIdentity) async {
        await end(peer) { await refuse(error, push.number, peer) }
    }

    private func refuse(_ error: RunStoreError, _ number: UInt64, _ peer: RoutingIdentity) async {
        let failure = RequestFailure(error)
        metrics.notePushRefusal(failure.kind)
        let client = endpoint.keyName(of: peer) ?? endpoint.name(of: peer)
        if refusals.isNews(client, at: .now) {
            logger.warning("a push was refused", metadata: ["from": "\(client)", LogKeys.cause: "\(error)"])
        }
        await answer(.failure(failure), number, peer)
    }

    private func refuse(
        _ at: RunPlace, _ kind: RequestFailure.Kind, _ sentence: String, _ number: UInt64, _ peer: RoutingIdentity
    ) async {
        metrics.notePushRefusal(kind)
        await answer(.failure(RequestFailure(kind: kind, at: "\(at)", sentence)), number, peer)
    }

    private func answer(_ reply: ClientReply, _ number: UInt64, _ peer: RoutingIdentity) async {
        await endpoint.send(.reply(number, reply), to: peer)
    }

    /// A client in words.
    static func words(key: String?, host: String) -> String {
        switch (key, host.isEmpty) {
        case (let key?, true): key
        case (let key?, false): "\(key) on \(host)"
        case (nil, true): "a client"
        case (nil, false): "a client on \(host)"
        }
    }

    // MARK: - Rows

    /// Reserves the place of a stream of rows; false when there is a whole file.
    ///
    /// - Throws: ``RunStoreError``.
    func beginStream(at: RunPlace, byteCount: UInt64, from sender: String) throws(RunStoreError) -> Bool {
        try store.beginStream(at: at, byteCount: byteCount, from: sender, at: now)
    }

    /// Frees the place of a stream of rows.
    func endStream(at: RunPlace) { store.endStream(at: at) }

    /// Begins the file of a stream.
    ///
    /// - Throws: ``RunStoreError``.
    func beginFile(
        at: RunPlace, _ draft: PartialsDraft, _ metadata: PartialsMetadata
    ) throws(RunStoreError) -> StreamedFile {
        try store.beginFile(at: at, draft, metadata)
    }

    /// Makes the file of a stream durable; the bytes of the file, or why it is not durable.
    func finish(_ file: StreamedFile) -> Result<UInt64, RunStoreError> {
        Result { () throws(RunStoreError) in try store.finish(file, at: now) }
    }

    // MARK: - Runs

    /// Removes a run, and ends its pushes.
    ///
    /// - Throws: ``RunStoreError``; the run stays.
    func remove(_ run: RunName) async throws(RunStoreError) -> RunSummary {
        let removed = try store.remove(run, at: now)
        for (peer, push) in places.pushes where push.at.run == run {
            await give(up: peer, RunStoreError.removedMeanwhile(push.at).problem)
        }
        return removed
    }

    /// Ends silent pushes and removes runs that have expired, until cancelled.
    ///
    /// - Parameter expiry: The time without a sign of life after which a run expires; `nil` for never.
    func watch(expiry: Duration?) async {
        let interval = min(.seconds(5), max(.milliseconds(200), (expiry ?? .seconds(60)) / 4))
        while (try? await Task.sleep(for: interval)) != nil {
            for peer in places.silent(at: .now) {
                await give(up: peer, "no chunk came for \(places.silence.components.seconds) s; this push ended.")
            }
            if let expiry { expire(after: expiry) }
        }
    }

    private func expire(after limit: Duration) {
        for (run, outcome) in store.expire(after: limit / .seconds(1), unless: places.isOpen, at: now) {
            switch outcome {
            case .success(let removed):
                logger.notice(
                    "a pushed run expired and was removed",
                    metadata: [
                        "run": "\(run.rawValue.excerpt)", "files": "\(removed.wholeCount)",
                        LogKeys.bytes: "\(removed.arrivedBytes)", LogKeys.seconds: "\(Int(removed.idle))",
                    ])
            case .failure(let error):
                logger.warning("a pushed run that expired cannot be removed", metadata: [LogKeys.cause: "\(error)"])
            }
        }
    }
}
