import Identifiers
import JobPlan
import Testing
import WireProtocol
import ZeroMQ

@testable import CoordinatorService

struct TransferQueueTests {
    private let queue = TransferQueue()
    private let chunk = TransferService.Request.chunk(
        transfer: 1, offset: 0, Frame([UInt8](repeating: 0, count: WireLimits.chunkBytes)))

    @Test func `a peer has room for so many requests, and again when they are done`() async throws {
        let (busy, other) = (try RoutingIdentity("busy"), try RoutingIdentity("other"))
        let request = TransferService.Request.credit(transfer: 1, chunks: 1)
        for _ in 0..<TransferQueue.requestsPerPeer { try #require(queue.add(request, from: busy)) }
        #expect(!queue.add(request, from: busy))
        #expect(queue.add(request, from: other))
        // The coordinator's own decisions are never refused, and count for no peer.
        queue.tell(.peerGone, about: busy)
        try await end(1)
        #expect(queue.add(request, from: busy))
        #expect(!queue.add(request, from: busy))
    }

    @Test func `a peer has room for so many bytes, and above the bound of all for its credit only`() async throws {
        let chunks = TransferQueue.bytesPerPeer / WireLimits.chunkBytes
        for number in 0..<TransferQueue.bytesMax / TransferQueue.bytesPerPeer {
            let peer = try RoutingIdentity("busy-\(number)")
            for _ in 0..<chunks { try #require(queue.add(chunk, from: peer)) }
            #expect(!queue.add(chunk, from: peer))
        }
        let late = try RoutingIdentity("late")
        for _ in 0..<Int(WireLimits.chunkCredit) { #expect(queue.add(chunk, from: late)) }
        #expect(!queue.add(chunk, from: late))
        try await end(Int(WireLimits.chunkCredit) + 1)
        #expect(queue.add(chunk, from: late))
    }

    @Test func `chunks are taken of workers that have greeted, and give a sign of life now and then`() throws {
        let (peer, start) = (try RoutingIdentity("peer"), ContinuousClock.now)
        #expect(queue.addChunk(chunk, from: peer, at: start) == .stranger)
        queue.open(peer)
        #expect(queue.addChunk(chunk, from: peer, at: start + .seconds(9)) == .added(isSign: true))
        #expect(queue.addChunk(chunk, from: peer, at: start + .seconds(9)) == .added(isSign: false))
        #expect(queue.addChunk(chunk, from: peer, at: start + .seconds(10)) == .added(isSign: true))
        queue.close(peer)
        #expect(queue.addChunk(chunk, from: peer, at: start + .seconds(11)) == .stranger)
    }

    @Test func `an offer stands before its chunks, and a peer's end behind them`() async throws {
        let peer = try RoutingIdentity("peer")
        queue.open(peer)
        let blob = BlobReference(digest: BlobDigest(sha256: [UInt8](repeating: 1, count: 32)), byteCount: 1)
        #expect(queue.add(.offer(transfer: 1, blob), from: peer))
        #expect(queue.addChunk(chunk, from: peer, at: .now) != .full)
        queue.close(peer)
        queue.finish()
        var order: [String] = []
        for await entry in queue.entries {
            switch entry.request {
            case .offer: order.append("offer")
            case .chunk: order.append("chunk")
            case .peerGone: order.append("gone")
            default: order.append("?")
            }
        }
        #expect(order == ["offer", "chunk", "gone"])
    }

    private func end(_ count: Int) async throws {
        var ended = 0
        for await entry in queue.entries where ended < count {
            queue.end(entry)
            ended += 1
            if ended == count { break }
        }
    }
}
