import BlobStore
import Identifiers
import JobPlan
import Synchronization
import SystemPackage
import TestSupport
import Testing
import WireProtocol
import ZeroMQ

@testable import CoordinatorService
@testable import Messaging

/// Transfers over real sockets, with peers that the test controls.
@Suite(.timeLimit(.minutes(5))) final class TransferServiceTests: Sendable {
    private let directory: TemporaryDirectory
    private let store: BlobStore
    private let endpoint: CoordinatorEndpoint
    private let transfers: TransferService
    private let context: Context
    private let outcomes: OutcomeList

    init() async throws {
        directory = try TemporaryDirectory()
        store = try BlobStore(opening: FilePath(directory.path).appending("blobs"))
        context = try Context()
        // Peers that read nothing must stay connected, however slow the machine is.
        endpoint = try await CoordinatorEndpoint.bind(
            try Endpoint("tcp://127.0.0.1:0"), context: context, probesSilence: false)
        let outcomes = OutcomeList()
        self.outcomes = outcomes
        transfers = TransferService(store: store, endpoint: endpoint) { outcome, _ in outcomes.add(outcome) }
    }

    /// A peer that takes nothing until the test reads, and its name at the endpoint.
    private func slowPeer() async throws -> (RawConnection, RoutingIdentity) {
        let peer = try RawConnection(dealerTo: try #require(endpoint.endpoint.port))
        let request = try WireMessage.request(1, .jobs).encoded()
        try peer.send([0, UInt8(request.count)] + request)
        guard case .message(_, _, let identity)? = await endpoint.next() else { throw Unheard() }
        return (peer, identity)
    }

    private struct Unheard: Error {}

    @Test func `downloads wait while their peer does not take what it was sent, and lose nothing`() async throws {
        let chunkCount = 8
        let bytes = [UInt8](repeating: 9, count: chunkCount * WireLimits.chunkBytes)
        let blob = try store.put(bytes.span.bytes)
        let (peer, identity) = try await slowPeer()
        // More transfers than libzmq may hold for a peer before messages are dropped.
        let transferCount = 50
        for transfer in 0..<UInt64(transferCount) {
            let range = RangeRequest(
                transfer: transfer, source: .blob(blob), offset: 0, byteCount: UInt64(bytes.count),
                credit: WireLimits.chunkCredit)
            await transfers.handle(.range(range, nil), from: identity)
        }
        while endpoint.hasRoom(for: identity) { try await Task.sleep(for: .milliseconds(5)) }
        #expect(endpoint.statistics.heldBytes <= 128 << 20)
        var received: [UInt64: UInt64] = [:]
        for await message in peer.messages.prefix(transferCount * chunkCount) {
            guard case .coordinator(.rangeChunk(let transfer, let offset)) = try WireMessage(decoding: message.first)
            else {
                Issue.record("not a chunk: \(message.first)")
                return
            }
            #expect(offset == received[transfer, default: 0])
            received[transfer, default: 0] += UInt64(message.othersByteCount)
        }
        #expect(received.count == transferCount)
        #expect(received.values.allSatisfy { $0 == UInt64(bytes.count) })
        #expect(endpoint.statistics.droppedMessages == 0)
        await endpoint.close()
    }

    /// A peer whose messages reach the endpoint, and its name there.
    private func peer(_ name: String) async throws -> (MessageChannel, RoutingIdentity) {
        var options = SocketOptions()
        options.routingIdentity = try RoutingIdentity(name)
        let peer = try await MessageChannel.connect(endpoint.endpoint, context: context, options: options)
        try await peer.send(try Message(.request(1, .jobs)))
        guard case .message(_, _, let identity)? = await endpoint.next() else { throw Unheard() }
        return (peer, identity)
    }

    private func next(_ peer: MessageChannel) async throws -> CoordinatorMessage {
        guard case .coordinator(let message) = try await peer.receive().decoded().message else { throw Unheard() }
        return message
    }

    private func blob(_ number: UInt8) -> BlobReference {
        BlobReference(digest: BlobDigest(sha256: [UInt8](repeating: number, count: 32)), byteCount: 64 << 20)
    }

    @Test func `a chunk that nobody asked for is not written, and ends the upload`() async throws {
        let (peer, identity) = try await peer("eager")
        let offers = UInt64(UploadCredit<RoutingIdentity>.chunksMax / Int(WireLimits.chunkCredit))
        for transfer in 0...offers {
            await transfers.handle(.offer(transfer: transfer, blob(UInt8(transfer))), from: identity)
        }
        for transfer in 0..<offers { #expect(try await next(peer) == .uploadCredit(transfer: transfer, chunks: 8)) }
        await transfers.handle(.chunk(transfer: offers, offset: 0, "unasked"), from: identity)
        let reason = "its worker sent more of it than it was asked for"
        #expect(try await next(peer) == .uploadFailure(transfer: offers, message: reason))
        #expect(outcomes.reasons == ["blob \(blob(UInt8(offers)).digest): \(reason)"])
        await peer.close(flushingFor: .zero)
        await endpoint.close()
    }

    @Test func `an upload that its peer gives up gives its credit back`() async throws {
        let (peer, identity) = try await peer("failing")
        let offers = UInt64(UploadCredit<RoutingIdentity>.chunksMax / Int(WireLimits.chunkCredit))
        for transfer in 0...offers {
            await transfers.handle(.offer(transfer: transfer, blob(UInt8(transfer))), from: identity)
        }
        for transfer in 0..<offers { #expect(try await next(peer) == .uploadCredit(transfer: transfer, chunks: 8)) }
        await transfers.handle(.abandoned(blob(0).digest), from: try RoutingIdentity("another"))
        await transfers.handle(.abandoned(blob(0).digest), from: identity)
        #expect(try await next(peer) == .uploadCredit(transfer: offers, chunks: 8))
        await peer.close(flushingFor: .zero)
        await endpoint.close()
    }

    @Test func `an upload of which nothing comes ends, and gives its credit back`() async throws {
        let (silent, silentIdentity) = try await peer("silent")
        await transfers.handle(.offer(transfer: 1, blob(1)), from: silentIdentity)
        #expect(try await next(silent) == .uploadCredit(transfer: 1, chunks: 8))
        for _ in 0..<12 { await transfers.lookAtUploads() }
        await transfers.handle(.chunk(transfer: 1, offset: 0, "a sign of life"), from: silentIdentity)
        for _ in 0..<12 { await transfers.lookAtUploads() }
        #expect(outcomes.reasons.isEmpty)
        await transfers.lookAtUploads()
        let reason = "its worker sends nothing of it"
        #expect(try await next(silent) == .uploadFailure(transfer: 1, message: reason))
        #expect(outcomes.reasons == ["blob \(blob(1).digest): \(reason)"])
        await silent.close(flushingFor: .zero)
        await endpoint.close()
    }

    @Test func `uploads of many peers share the credit, and each peer gets some`() async throws {
        let blob = BlobReference(digest: BlobDigest(sha256: [UInt8](repeating: 3, count: 32)), byteCount: 64 << 20)
        var peers: [MessageChannel] = []
        let peerCount = 40
        for number in 0..<peerCount {
            var options = SocketOptions()
            options.routingIdentity = try RoutingIdentity("worker-\(number)")
            let peer = try await MessageChannel.connect(endpoint.endpoint, context: context, options: options)
            try await peer.send(try Message(.request(1, .jobs)))
            _ = await endpoint.next()
            await transfers.handle(.offer(transfer: 1, blob), from: try RoutingIdentity("worker-\(number)"))
            peers.append(peer)
        }
        var granted: [Int] = []
        for peer in peers {
            guard case .coordinator(.uploadCredit(1, let chunks)) = try await peer.receive().decoded().message else {
                Issue.record("no credit")
                return
            }
            granted.append(Int(chunks))
        }
        #expect(granted == (0..<peerCount).map { $0 < 32 ? 8 : 1 })
        // Two peers must leave before one that waits gets room: the first pays for the chunk given above the bound.
        for name in ["worker-0", "worker-1"] { await transfers.handle(.peerGone, from: try RoutingIdentity(name)) }
        guard case .coordinator(.uploadCredit(1, 7)) = try await peers[32].receive().decoded().message else {
            Issue.record("what waits does not follow")
            return
        }
        for peer in peers { await peer.close(flushingFor: .zero) }
        await endpoint.close()
    }
}

/// The outcomes of uploads.
private final class OutcomeList: Sendable {
    private let outcomes = Mutex<[TransferService.UploadOutcome]>([])

    func add(_ outcome: TransferService.UploadOutcome) {
        outcomes.withLock { $0.append(outcome) }
    }

    /// Why some blobs must be sent again.
    var reasons: [String] {
        outcomes.withLock { $0 }.compactMap { if case .paused(_, let reason) = $0 { reason } else { nil } }
    }
}
