import BlobStore
import Identifiers
import JobPlan
import Lanes
import Messaging
import Safetensors
import UnitOperations
import WireProtocol
import ZeroMQ

/// Transfers to and from workers: ranges of input files and blobs out, blobs in, each within its credit.
///
/// Bounds: a peer may have ``transfersPerPeer`` transfers at once, each with at most its credit of chunks on their way.
/// All uploads together have the credit of ``UploadCredit``. Downloads wait while their peer does not take what was
/// sent (``CoordinatorEndpoint/hasRoom(for:)``).
actor TransferService {
    /// A worker's message about a transfer.
    enum Request: Sendable {
        case range(RangeRequest, SafetensorsFile?)
        case credit(transfer: UInt64, chunks: UInt32)
        case offer(transfer: UInt64, BlobReference)
        /// An offer of a blob that was not asked for.
        case unwanted(transfer: UInt64, BlobDigest)
        /// A request that is refused.
        case refusal(transfer: UInt64, String)
        case chunk(transfer: UInt64, offset: UInt64, Frame)
        /// A blob whose upload the peer has stopped.
        case abandoned(BlobDigest)
        case peerGone
    }

    /// The outcome of a blob's upload.
    enum UploadOutcome: Sendable {
        /// The blob is in the store.
        case stored(BlobReference)
        /// The blob's bytes do not match its name.
        case damaged(BlobDigest)
        /// The disk is full or fails; the blob is collected again later.
        case paused(BlobDigest, reason: String)
    }

    /// The most transfers of a peer at once.
    static let transfersPerPeer = 256

    private typealias Key = UploadCredit<RoutingIdentity>.Key

    /// How often downloads that wait check whether their peer has taken the bytes.
    private static let roomInterval: Duration = .milliseconds(20)

    private struct Outgoing {
        let source: OutgoingBytes
        var offset: UInt64
        var remaining: UInt64
        var credit: UInt32
    }

    private struct Incoming {
        let blob: BlobReference
        let writer: BlobWriter
        var chunksUntilCredit: UInt32
        /// The number of checks since its last chunk, counted while a chunk might have come.
        var silentLooks = 0
    }

    /// How often uploads are checked, and the number of silent checks that ends one: two minutes.
    private static let (lookInterval, silentLooksMax) = (Duration.seconds(10), 12)

    private let lane = Lane("kfacd.transfers")
    private let store: BlobStore
    private let endpoint: CoordinatorEndpoint
    private var outgoing: [Key: Outgoing] = [:]
    private var incoming: [Key: Incoming] = [:]
    private var uploadCredit = UploadCredit<RoutingIdentity>()
    private var stalled: Set<Key> = []
    private var isAwaitingRoom = false
    private var sending: Set<Key> = []

    nonisolated var unownedExecutor: UnownedSerialExecutor { lane.asUnownedSerialExecutor() }

    private let report: @Sendable (UploadOutcome, RoutingIdentity) async -> Void

    init(
        store: BlobStore, endpoint: CoordinatorEndpoint,
        report: @escaping @Sendable (UploadOutcome, RoutingIdentity) async -> Void
    ) {
        self.store = store
        self.endpoint = endpoint
        self.report = report
    }

    /// Handles the requests of a queue, one after the other, until the queue ends.
    func serve(_ queue: TransferQueue) async {
        for await entry in queue.entries {
            await handle(entry.request, from: entry.peer)
            queue.end(entry)
        }
    }

    /// Handles a worker's request, within its credit.
    func handle(_ request: Request, from peer: RoutingIdentity) async {
        switch request {
        case .range(let range, let file): await begin(range, file, peer)
        case .credit(let transfer, let chunks):
            let key = Key(peer: peer, transfer: transfer)
            guard chunks > 0 else {
                outgoing[key] = nil
                return
            }
            let sum = (outgoing[key]?.credit ?? 0).addingReportingOverflow(chunks)
            outgoing[key]?.credit = min(sum.overflow ? .max : sum.partialValue, 4 * WireLimits.chunkCredit)
            await send(key)
        case .offer(let transfer, let blob): await accept(blob, Key(peer: peer, transfer: transfer))
        case .unwanted(let transfer, let blob):
            await refuse(Key(peer: peer, transfer: transfer), "blob \(blob) is not wanted (any more)")
        case .refusal(let transfer, let message): await fail(Key(peer: peer, transfer: transfer), message)
        case .chunk(let transfer, let offset, let payload):
            await append(payload, at: offset, Key(peer: peer, transfer: transfer))
        case .abandoned(let digest):
            for key in incoming.keys where key.peer == peer && incoming[key]?.blob.digest == digest { end(key) }
        case .peerGone:
            outgoing = outgoing.filter { $0.key.peer != peer }
            for key in incoming.keys where key.peer == peer { end(key) }
        }
        while let (key, chunks) = uploadCredit.next() { await sendCredit(chunks, key) }
    }

    // MARK: - Out

    private func begin(_ range: RangeRequest, _ file: SafetensorsFile?, _ peer: RoutingIdentity) async {
        let key = Key(peer: peer, transfer: range.transfer)
        do {
            guard outgoing.keys.count(where: { $0.peer == peer }) < Self.transfersPerPeer,
                let source = try OutgoingBytes(range, file, store)
            else {
                let end = range.offset.addingReportingOverflow(range.byteCount).partialValue
                await fail(key, "there are no bytes \(range.offset)..<\(end) of \(range.source)")
                return
            }
            outgoing[key] = Outgoing(
                source: source, offset: range.offset, remaining: range.byteCount,
                credit: min(range.credit, 4 * WireLimits.chunkCredit))
        } catch {
            await fail(key, "\(error)")
            return
        }
        await send(key)
    }

    private func send(_ key: Key) async {
        // One loop sends a transfer's chunks, so that they cannot overtake each other. It sees credit that arrives
        // meanwhile.
        guard sending.insert(key).inserted else { return }
        defer { sending.remove(key) }
        while var transfer = outgoing[key], transfer.credit > 0, transfer.remaining > 0 {
            guard endpoint.hasRoom(for: key.peer) else {
                stalled.insert(key)
                awaitRoom()
                return
            }
            let count = Int(min(transfer.remaining, UInt64(WireLimits.chunkBytes)))
            let frame: Frame
            do {
                var buffer = try PayloadBuffer(byteCount: count)
                try buffer.withMutableBytes { bytes throws in
                    try transfer.source.read(at: Int(transfer.offset), into: &bytes)
                }
                frame = Frame(buffer)
            } catch {
                outgoing[key] = nil
                await fail(key, "\(error)")
                return
            }
            let message = CoordinatorMessage.rangeChunk(transfer: key.transfer, offset: transfer.offset)
            transfer.offset += UInt64(count)
            transfer.remaining -= UInt64(count)
            transfer.credit -= 1
            outgoing[key] = transfer.remaining > 0 ? transfer : nil
            await endpoint.send(.coordinator(message), payload: frame, to: key.peer)
        }
    }

    /// Continues downloads that wait for their peers, until none waits.
    private func awaitRoom() {
        guard !isAwaitingRoom else { return }
        isAwaitingRoom = true
        // Task because nobody waits for it. It ends when every peer has taken its bytes or is gone.
        Task {
            while !stalled.isEmpty {
                try? await Task.sleep(for: Self.roomInterval)
                let keys = stalled
                stalled = []
                for key in keys { await send(key) }
            }
            isAwaitingRoom = false
        }
    }

    private func fail(_ key: Key, _ message: String) async {
        await endpoint.send(.coordinator(.rangeFailure(transfer: key.transfer, message: message)), to: key.peer)
    }

    // MARK: - In

    private func accept(_ blob: BlobReference, _ key: Key) async {
        end(key)
        if store.contains(blob.digest) {
            await endpoint.send(.coordinator(.uploadStored(transfer: key.transfer)), to: key.peer)
            await report(.stored(blob), key.peer)
            return
        }
        guard incoming.keys.count(where: { $0.peer == key.peer }) < Self.transfersPerPeer else {
            await refuse(key, "too many transfers at once")
            return
        }
        incoming[key] = Incoming(
            blob: blob, writer: store.beginWrite(), chunksUntilCredit: WireLimits.chunkCredit / 2)
        await grant(key, WireLimits.chunkCredit)
    }

    private func append(_ payload: Frame, at offset: UInt64, _ key: Key) async {
        guard let transfer = incoming[key] else { return }
        let end = offset.addingReportingOverflow(UInt64(payload.byteCount))
        // A chunk from before a restart does not belong to this attempt.
        guard offset == UInt64(transfer.writer.byteCount), !end.overflow, end.partialValue <= transfer.blob.byteCount
        else { return }
        // A chunk that was not asked for is not written, because credit bounds the disk's queue.
        guard uploadCredit.receive(from: key) else {
            await pause(key, "its worker sent more of it than it was asked for")
            return
        }
        incoming[key]?.silentLooks = 0
        do {
            try payload.withBytes { bytes throws in try transfer.writer.append(bytes) }
            if end.partialValue == transfer.blob.byteCount {
                self.end(key)
                _ = try transfer.writer.finish(expecting: transfer.blob.digest)
                await endpoint.send(.coordinator(.uploadStored(transfer: key.transfer)), to: key.peer)
                await report(.stored(transfer.blob), key.peer)
                return
            }
        } catch let error as BlobStoreError {
            if case .digestMismatch = error {
                await report(.damaged(transfer.blob.digest), key.peer)
            } else {
                await report(.paused(transfer.blob.digest, reason: "\(error)"), key.peer)
            }
            await refuse(key, "\(error)")
            return
        } catch {
            await refuse(key, "\(error)")
            return
        }
        // Credit comes in halves: this needs fewer messages, and the connection is never idle.
        if transfer.chunksUntilCredit == 1 {
            incoming[key]?.chunksUntilCredit = WireLimits.chunkCredit / 2
            await grant(key, WireLimits.chunkCredit / 2)
        } else {
            incoming[key]?.chunksUntilCredit -= 1
        }
    }

    /// Ends silent uploads at intervals, until cancelled; they hold credit that others wait for.
    func watchUploads() async {
        while (try? await Task.sleep(for: Self.lookInterval)) != nil { await lookAtUploads() }
    }

    /// Ends the uploads that were silent at too many checks.
    ///
    /// Checks are counted, not time, because nobody can be heard while the process does not run.
    func lookAtUploads() async {
        for key in incoming.keys where uploadCredit.isGranted(key) {
            let looks = (incoming[key]?.silentLooks ?? 0) + 1
            incoming[key]?.silentLooks = looks
            if looks > Self.silentLooksMax { await pause(key, "its worker sends nothing of it") }
        }
        while let (key, chunks) = uploadCredit.next() { await sendCredit(chunks, key) }
    }

    /// Ends an upload that its peer does not continue correctly; the blob is collected again later.
    private func pause(_ key: Key, _ reason: String) async {
        guard let blob = incoming[key]?.blob.digest else { return }
        await report(.paused(blob, reason: "blob \(blob): \(reason)"), key.peer)
        await refuse(key, reason)
    }

    private func grant(_ key: Key, _ chunks: UInt32) async {
        await sendCredit(uploadCredit.ask(for: Int(chunks), of: key), key)
    }

    private func sendCredit(_ chunks: Int, _ key: Key) async {
        guard chunks > 0 else { return }
        await endpoint.send(.coordinator(.uploadCredit(transfer: key.transfer, chunks: UInt32(chunks))), to: key.peer)
    }

    /// Forgets an upload.
    private func end(_ key: Key) {
        incoming[key] = nil
        uploadCredit.end(key)
    }

    private func refuse(_ key: Key, _ message: String) async {
        end(key)
        await endpoint.send(.coordinator(.uploadFailure(transfer: key.transfer, message: message)), to: key.peer)
    }
}
