import Foundation
import Identifiers
import JobFiles
import Lanes
import Logging
import Messaging
import PushedRuns
import RowStreams
import SystemPackage
import Telemetry
import UnitOperations
import WireProtocol
import ZeroMQ

/// Passes rows of clients on to the workers that sum them, and writes the sums when a client commits.
///
/// ``RowStreamTable`` decides; this actor sends, writes and answers. It has a thread of its own, because it writes
/// files. Files are begun and finished by ``PushDesk``, which owns the directories of runs.
actor RowStreamDesk {
    /// What peers say, and the desk itself.
    enum Request: Sendable {
        case offer(PushOffer, RowStreamOffer)
        case rows(PushedRows, Frame)
        case commit(metadata: [String: String])
        /// The client is gone.
        case gone
        /// A worker greeted.
        case joined(WorkerHello)
        case draining
        /// A worker's conversation ended.
        case left(reason: String)
        case word(RowSumWord, Frame?)
        /// The sums of a stream are durable, or why they are not.
        case finished(stream: UInt64, Result<UInt64, RunStoreError>)
    }

    /// What the desk knows of a stream.
    private final class Stream {
        let number: UInt64
        let draft: PartialsDraft
        let start = ContinuousClock.now
        var file: StreamedFile?
        var takenBytes: UInt64 = 0
        /// Whether the sums are being made durable, so that nothing can stop it.
        var isFinishing = false

        /// What is being done, for the client.
        var activity: String {
            isFinishing ? "making the sums durable" : file == nil ? "waiting for rows" : "collecting the sums"
        }

        init(_ number: UInt64, _ draft: PartialsDraft) { (self.number, self.draft) = (number, draft) }
    }

    /// The most that a peer may have waiting here: a worker may answer all streams at once.
    static let requestsPerPeer =
        PushBounds.pushesMax * RowStreamLimits.rangesMax + 2 * RowStreamLimits.creditOfAll

    private typealias Effects = RowStreamTable<RoutingIdentity>.Effects
    private typealias Push = PushPlaces<Stream>.Push

    private let lane = Lane("kfacd.rows")
    private let store: RunStore
    private let pushDesk: PushDesk
    private let endpoint: CoordinatorEndpoint
    private let queue: PeerQueue<Request>
    private let metrics: CoordinatorMetrics
    private let logger: Logger
    private var table = RowStreamTable<RoutingIdentity>()
    // A step of a training run may take minutes.
    private var places = PushPlaces<Stream>(staleness: .seconds(600), silence: .seconds(600))
    private var peers: [UInt64: RoutingIdentity] = [:]
    // A worker that has not heard of this coordinator's start may still speak of a stream of the last one.
    private var nextStream = UInt64.random(in: 1...(.max / 2))
    private var refusals = NewsFilter()

    init(
        store: RunStore, pushDesk: PushDesk, endpoint: CoordinatorEndpoint, queue: PeerQueue<Request>,
        metrics: CoordinatorMetrics, logger: Logger
    ) {
        self.store = store
        self.pushDesk = pushDesk
        self.endpoint = endpoint
        self.queue = queue
        self.metrics = metrics
        self.logger = logger
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    private var now: Double { Date.now.timeIntervalSince1970 }

    /// Handles what peers say, until the queue ends.
    func run() async {
        for await entry in queue.entries {
            await handle(entry)
            queue.end(entry)
        }
    }

    private func handle(_ entry: PeerQueue<Request>.Entry) async {
        let peer = entry.peer
        switch entry.request {
        case .offer(let offer, let rows): await begin(offer, rows, entry.number, peer)
        case .rows(let rows, let bytes): await add(rows, bytes, entry.number, peer)
        case .commit(let metadata): await commit(metadata, entry.number, peer)
        case .gone: await end(peer)
        case .joined(let hello):
            queue.open(peer)
            table.join(peer, memoryBytes: hello.rowMemoryBytes, lanes: hello.lanes)
        case .draining: table.drain(peer)
        case .left(let reason):
            queue.close(peer)
            await perform(table.leave(peer, reason: reason))
        case .word(let word, let bytes):
            await perform(table.note(word, byteCount: bytes?.byteCount ?? 0, from: peer), bytes)
        case .finished(let stream, let outcome): await tell(outcome, of: stream)
        }
    }

    // MARK: - Clients

    private func begin(
        _ offer: PushOffer, _ rows: RowStreamOffer, _ number: UInt64, _ peer: RoutingIdentity
    ) async {
        // A connection has one push; a new offer ends the last one.
        await end(peer)
        let at = RunPlace(run: offer.run, place: offer.place)
        let client = endpoint.holder(of: peer)
        let sender = PushDesk.words(key: endpoint.keyName(of: peer), host: offer.host)
        let obstacle = places.obstacle(to: at, by: client, at: peer, .now)
        if case .stale(let other)? = obstacle {
            guard places[other]?.content.isFinishing == false else {
                await refuse(at, .busy, "its sums are being made durable. Try again.", number, peer)
                return
            }
            await give(up: other, "another connection sends these rows now; this stream ended.")
        } else if let sentence = obstacle?.sentence {
            await refuse(at, .busy, sentence, number, peer)
            return
        }
        do {
            let draft = try PartialsDraft(
                of: rows.sums.map { ($0.tensors, $0.columns) }, metadata: rows.metadata, run: offer.run,
                place: offer.place, file: FilePath("the stream"))
            guard try await pushDesk.beginStream(at: at, byteCount: draft.byteCount, from: sender) else {
                await answer(.push(PushState(offset: 0, credit: 0, isWhole: true)), number, peer)
                return
            }
            let stream = Stream(nextStream, draft)
            let effects: Effects
            do throws(RowStreamError) {
                effects = try table.open(
                    stream.number,
                    draft.sums.map { sum in
                        (
                            sum.names.first?.name ?? "",
                            RowSumShape(columns: sum.columns, appendsOne: sum.appendsOne, isDiagonal: sum.isDiagonal)
                        )
                    })
            } catch {
                await pushDesk.endStream(at: at)
                throw error
            }
            nextStream += 1
            peers[stream.number] = peer
            places.begin(
                Push(number: number, at: at, content: stream, client: client, sender: sender, lastChunk: .now), at: peer
            )
            queue.open(peer)
            await perform(effects)
        } catch {
            await refuse(error, at, number, peer)
        }
    }

    private func add(_ rows: PushedRows, _ bytes: Frame, _ number: UInt64, _ peer: RoutingIdentity) async {
        guard let push = await open(peer, number) else { return }
        let effects = table.add(
            push.content.number, sum: rows.sum, firstRow: rows.firstRow, rows.elementType, byteCount: bytes.byteCount)
        await perform(effects, bytes)
    }

    private func commit(_ committed: [String: String], _ number: UInt64, _ peer: RoutingIdentity) async {
        guard let push = await open(peer, number) else { return }
        let stream = push.content
        guard !table.isCommitted(stream.number) else {
            await perform(table.commit(stream.number))
            return
        }
        do {
            let rows = table.rowCounts(of: stream.number)
            let metadata = try stream.draft.metadata(rows: rows, committed: committed)
            // The workers finish while the file is begun.
            await perform(table.commit(stream.number))
            stream.file = try await pushDesk.beginFile(at: push.at, stream.draft, metadata)
            await answer(.progress(stream.activity), number, peer)
            await perform(table.collect(stream.number))
        } catch {
            await end(peer) { await refuse(error, push.at, number, peer) }
        }
    }

    /// The open stream of a client; without it the client is told so.
    private func open(_ peer: RoutingIdentity, _ number: UInt64) async -> Push? {
        guard let push = places[peer], push.number == number, !push.content.isFinishing else {
            await answer(.failure(.streamNotOpen), number, peer)
            return nil
        }
        places.noteChunk(at: peer, .now)
        return push
    }

    // MARK: - Effects

    private func perform(_ effects: Effects, _ bytes: Frame? = nil) async {
        for effect in effects {
            switch effect {
            case .order(let order, let worker):
                let isAdd = if case .add = order { true } else { false }
                await endpoint.send(.coordinator(.rowSum(order)), payload: isAdd ? bytes : nil, to: worker)
            case .answer(let number, let takenBytes, let credit):
                guard let peer = peers[number], let push = places[peer] else { continue }
                metrics.noteRows(takenBytes - push.content.takenBytes)
                push.content.takenBytes = takenBytes
                let state = PushState(offset: takenBytes, credit: credit, isWhole: false)
                await answer(.push(state), push.number, peer)
            case .write(let number, let sum, let offset):
                guard let bytes else { continue }
                await write(bytes, number, sum, offset)
            case .complete(let number): await finish(number)
            case .fail(let number, let error):
                guard let peer = peers[number], let push = places[peer] else { continue }
                await end(peer) { await refuse(error, push.at, push.number, peer) }
            }
        }
    }

    private func write(_ bytes: Frame, _ number: UInt64, _ sum: Int, _ offset: UInt64) async {
        guard let peer = peers[number], let push = places[peer], let file = push.content.file else { return }
        let target = push.content.draft.sums[sum]
        let outcome = bytes.withBytes { bytes in
            Result<Void, RunStoreError> { () throws(RunStoreError) in try file.write(bytes, to: target, at: offset) }
        }
        guard case .failure(let error) = outcome else { return }
        await end(peer) { await refuse(error, push.at, push.number, peer) }
    }

    /// Makes the sums durable beside other streams, because a disk may be slow.
    private func finish(_ number: UInt64) async {
        guard let peer = peers[number], let push = places[peer], let file = push.content.file else { return }
        push.content.isFinishing = true
        await perform(table.end(number))
        await answer(.progress(push.content.activity), push.number, peer)
        let (pushDesk, queue) = (pushDesk, queue)
        // Task because the desk must not wait. Bound: the open streams.
        Task {
            let outcome = await pushDesk.finish(file)
            queue.tell(.finished(stream: number, outcome), about: peer)
        }
    }

    private func tell(_ outcome: Result<UInt64, RunStoreError>, of number: UInt64) async {
        guard let peer = peers[number], let push = places[peer] else { return }
        let stream = push.content
        stream.isFinishing = false
        switch outcome {
        case .failure(let error): await end(peer) { await refuse(error, push.at, push.number, peer) }
        case .success(let byteCount):
            logger.notice(
                "rows were summed",
                metadata: [
                    "run": "\(push.at.run.rawValue.excerpt)", "rank": "\(push.at.place.rank)",
                    "sequence": "\(push.at.place.sequence)", "row_bytes": "\(stream.takenBytes)",
                    LogKeys.bytes: "\(byteCount)", "from": "\(push.sender)",
                    LogKeys.seconds: "\((ContinuousClock.now - stream.start) / .seconds(1))",
                ])
            let state = PushState(offset: stream.takenBytes, credit: 0, isWhole: true)
            await end(peer) { await answer(.push(state), push.number, peer) }
        }
    }

    // MARK: - Ends

    /// Ends a client's stream, and forgets what was summed; sums that are being made durable go on.
    ///
    /// - Parameters:
    ///   - peer: The client.
    ///   - answer: Tells it why. It is told before further rows are refused, so that the cause is the first answer.
    private func end(_ peer: RoutingIdentity, _ answer: () async -> Void = {}) async {
        guard let push = places[peer], !push.content.isFinishing else { return await answer() }
        places.end(at: peer)
        peers[push.content.number] = nil
        await perform(table.end(push.content.number))
        await pushDesk.endStream(at: push.at)
        await answer()
        // Meanwhile it may have offered another stream.
        if places[peer] == nil { queue.close(peer) }
    }

    /// Ends the streams of a run that was removed.
    func giveUp(_ run: RunName) async {
        for (peer, push) in places.pushes where push.at.run == run && !push.content.isFinishing {
            await give(up: peer, RunStoreError.removedMeanwhile(push.at).problem)
        }
    }

    private func give(up peer: RoutingIdentity, _ sentence: String) async {
        guard let push = places[peer] else { return }
        await end(peer) { await refuse(push.at, .busy, sentence, push.number, peer) }
    }

    private func refuse(_ error: any Error, _ at: RunPlace, _ number: UInt64, _ peer: RoutingIdentity) async {
        let failure: RequestFailure
        switch error {
        case let error as RunStoreError: failure = RequestFailure(error)
        case let error as RowStreamError:
            failure = RequestFailure(kind: error.remedy.kind, at: "\(at)", "\(error)")
        default: failure = RequestFailure(kind: .badInput, at: "\(at)", "\(error)")
        }
        await refuse(failure, number, peer)
    }

    private func refuse(
        _ at: RunPlace, _ kind: RequestFailure.Kind, _ sentence: String, _ number: UInt64, _ peer: RoutingIdentity
    ) async {
        await refuse(RequestFailure(kind: kind, at: "\(at)", sentence), number, peer)
    }

    private func refuse(_ failure: RequestFailure, _ number: UInt64, _ peer: RoutingIdentity) async {
        metrics.notePushRefusal(failure.kind)
        let client = endpoint.keyName(of: peer) ?? endpoint.name(of: peer)
        if refusals.isNews(client, at: .now) {
            logger.warning("a stream of rows ended", metadata: ["from": "\(client)", LogKeys.cause: "\(failure)"])
        }
        await answer(.failure(failure), number, peer)
    }

    private func answer(_ reply: ClientReply, _ number: UInt64, _ peer: RoutingIdentity) async {
        await endpoint.send(.reply(number, reply), to: peer)
    }

    /// Ends silent streams, and tells quiet clients that the coordinator lives; until cancelled.
    ///
    /// What cannot be delivered shows that a client is gone, so that its place is free.
    func watch() async {
        while (try? await Task.sleep(for: .seconds(1))) != nil {
            for peer in places.silent(at: .now) where places[peer]?.content.file == nil {
                await give(up: peer, "no rows came for \(places.silence.components.seconds) s; this stream ended.")
            }
            for (peer, push) in places.pushes where ContinuousClock.now - push.lastChunk >= .seconds(1) {
                await answer(.progress(push.content.activity), push.number, peer)
            }
        }
    }
}

extension RowStreamError.Remedy {
    /// The kind of a client's failure.
    fileprivate var kind: RequestFailure.Kind {
        switch self {
        case .correct: .badInput
        case .again: .busy
        case .change: .world
        }
    }
}
