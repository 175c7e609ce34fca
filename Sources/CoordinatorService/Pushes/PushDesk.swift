import Foundation
import Identifiers
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
    private let lane = Lane("kfacd.pushes")
    private let store: RunStore
    private let endpoint: CoordinatorEndpoint
    private let queue: PushQueue
    private let metrics: CoordinatorMetrics
    private let logger: Logger
    private var places = PushPlaces()
    private var refusals = NewsFilter()

    init(
        store: RunStore, endpoint: CoordinatorEndpoint, queue: PushQueue, metrics: CoordinatorMetrics, logger: Logger
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

    private func handle(_ entry: PushQueue.Entry) async {
        switch entry.request {
        case .offer(let offer): await begin(offer, entry.number, entry.peer)
        case .chunk(let offset, let bytes): await append(bytes, at: offset, entry.number, entry.peer)
        case .step:
            if let push = places[entry.peer], push.number == entry.number { await goOn(push, entry.peer) }
        case .gone: end(entry.peer)
        }
    }

    // MARK: - Offers

    private func begin(_ offer: PushOffer, _ number: UInt64, _ peer: RoutingIdentity) async {
        // A connection has one push; a new offer ends the last one, whose bytes stay.
        end(peer)
        guard case .file(let content) = offer.content else { return }
        let part = PushedPart(run: offer.run, place: offer.place, content: content)
        let client = endpoint.holder(of: peer)
        let sender = Self.words(key: endpoint.keyName(of: peer), host: offer.host)
        switch places.obstacle(to: part, by: client, at: peer, .now) {
        case nil: break
        case .stale(let other): await give(up: other, "another connection pushes the file now; this push ended.")
        case .taken(let other):
            await refuse(part, .busy, "\(other) pushes it at the moment. Try again later.", number, peer)
            return
        case .full(let isClient):
            let most = isClient ? PushPlaces.pushesPerClient : PushPlaces.pushesMax
            await refuse(
                part, .busy,
                "\(most) pushes\(isClient ? " of this client" : "") are open, which is the most. Try again later.",
                number,
                peer)
            return
        }
        do throws(RunStoreError) {
            switch try store.begin(part, from: sender, at: now) {
            case .whole:
                await answer(.push(PushState(offset: content.byteCount, credit: 0, isWhole: true)), number, peer)
            case .incoming(let incoming):
                let push = PushPlaces.Push(
                    number: number, incoming: incoming, client: client, sender: sender, lastChunk: .now)
                places.begin(push, at: peer)
                queue.open(peer)
                await goOn(push, peer)
            }
        } catch {
            await refuse(error, number, peer)
        }
    }

    /// Hashes what is there already, in steps, and then asks for the rest.
    private func goOn(_ push: PushPlaces.Push, _ peer: RoutingIdentity) async {
        places.noteChunk(at: peer, .now)
        if push.incoming.isReady {
            if push.incoming.isWhole { await finish(push, peer) } else { await ask(push, peer) }
            return
        }
        do throws(RunStoreError) {
            try push.incoming.readOn()
            await answer(.progress("reading the bytes that are there already"), push.number, peer)
            queue.tell(.step, number: push.number, about: peer)
        } catch {
            await fail(error, push, peer)
        }
    }

    // MARK: - Chunks

    private func append(_ bytes: Frame, at offset: UInt64, _ number: UInt64, _ peer: RoutingIdentity) async {
        guard let push = places[peer], push.number == number, push.incoming.isReady else {
            await answer(
                .failure(
                    RequestFailure(
                        kind: .busy, at: "the push", "it is not open (any more). Offer the file again.")), number, peer
            )
            return
        }
        let part = push.incoming.part
        guard offset == push.incoming.arrived, bytes.byteCount > 0,
            UInt64(bytes.byteCount) <= part.content.byteCount - offset
        else {
            end(peer)
            let what =
                "a chunk of \(bytes.byteCount) bytes came for offset \(offset); expected the next one, for "
                + "\(push.incoming.arrived) of \(part.content.byteCount). Offer the file again, and send its chunks in order."
            await refuse(part, .badInput, what, number, peer)
            return
        }
        places.noteChunk(at: peer, .now)
        do throws(RunStoreError) {
            let outcome = bytes.withBytes { bytes in
                Result<Void, RunStoreError> { () throws(RunStoreError) in try push.incoming.append(bytes) }
            }
            try outcome.get()
            store.note(push.incoming, at: now)
        } catch {
            await fail(error, push, peer)
            return
        }
        if push.incoming.isWhole { await finish(push, peer) } else { await ask(push, peer) }
    }

    private func finish(_ push: PushPlaces.Push, _ peer: RoutingIdentity) async {
        end(peer)
        let part = push.incoming.part
        do throws(RunStoreError) {
            try store.finish(push.incoming, at: now)
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

    private func ask(_ push: PushPlaces.Push, _ peer: RoutingIdentity) async {
        let state = PushState(offset: push.incoming.arrived, credit: Int(WireLimits.chunkCredit), isWhole: false)
        await answer(.push(state), push.number, peer)
    }

    // MARK: - Ends

    /// Frees a connection's place; the bytes stay.
    private func end(_ peer: RoutingIdentity) {
        places.end(at: peer)
        queue.close(peer)
    }

    private func give(up peer: RoutingIdentity, _ sentence: String) async {
        guard let push = places[peer] else { return }
        end(peer)
        await refuse(push.incoming.part, .busy, sentence, push.number, peer)
    }

    private func fail(_ error: RunStoreError, _ push: PushPlaces.Push, _ peer: RoutingIdentity) async {
        end(peer)
        await refuse(error, push.number, peer)
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
        _ part: PushedPart, _ kind: RequestFailure.Kind, _ sentence: String, _ number: UInt64, _ peer: RoutingIdentity
    ) async {
        metrics.notePushRefusal(kind)
        let place = "run \"\(part.run.rawValue.excerpt)\", \(part.place)"
        await answer(.failure(RequestFailure(kind: kind, at: place, sentence)), number, peer)
    }

    private func answer(_ reply: ClientReply, _ number: UInt64, _ peer: RoutingIdentity) async {
        await endpoint.send(.reply(number, reply), to: peer)
    }

    private static func words(key: String?, host: String) -> String {
        switch (key, host.isEmpty) {
        case (let key?, true): key
        case (let key?, false): "\(key) on \(host)"
        case (nil, true): "a client"
        case (nil, false): "a client on \(host)"
        }
    }

    // MARK: - Runs

    /// Removes a run, and ends its pushes.
    ///
    /// - Throws: ``RunStoreError``; the run stays.
    func remove(_ run: RunName) async throws(RunStoreError) -> RunSummary {
        let removed = try store.remove(run, at: now)
        for (peer, push) in places.pushes where push.incoming.part.run == run {
            await give(up: peer, RunStoreError.removedMeanwhile(push.incoming.part).problem)
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
                await give(up: peer, "no chunk came for \(PushPlaces.silence.components.seconds) s; this push ended.")
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
