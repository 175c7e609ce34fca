import FileAccess
import Identifiers
import PushedRuns
import SystemPackage
import TestSupport
import Testing
import WireProtocol
import ZeroMQ

@testable import CoordinatorService

@Suite struct PushQueueTests {
    private let queue = PushQueue()
    private let peer: RoutingIdentity
    private let offer = PushOffer(
        run: "monday", place: PartialsPlace(rank: 0, sequence: 0), host: "",
        content: .file(BlobReference(digest: BlobDigest(sha256: [UInt8](repeating: 1, count: 32)), byteCount: 9)))

    init() throws { peer = try RoutingIdentity("one") }

    @Test func `chunks are taken only while a push is open, and no more than a credit and two`() {
        #expect(queue.add(.chunk(offset: 0, "x"), number: 1, from: peer) == .stranger)
        queue.open(peer)
        for _ in 0..<10 { #expect(queue.add(.chunk(offset: 0, "x"), number: 1, from: peer) == .added) }
        #expect(queue.add(.chunk(offset: 0, "x"), number: 1, from: peer) == .full)
        queue.close(peer)
        #expect(queue.add(.chunk(offset: 0, "x"), number: 1, from: peer) == .stranger)
    }

    @Test func `an entry that is done makes room, and one of the desk counts for nobody`() async {
        queue.open(peer)
        for number in 0..<10 { _ = queue.add(.offer(offer), number: UInt64(number), from: peer) }
        queue.tell(.step, number: 3, about: peer)
        var entries = queue.entries.makeAsyncIterator()
        if let first = await entries.next() { queue.end(first) }
        #expect(queue.add(.offer(offer), number: 1, from: peer) == .added)
        #expect(queue.add(.offer(offer), number: 1, from: peer) == .full)
    }

    @Test func `offers of 256 connections without a push may wait`() throws {
        for number in 0..<256 {
            #expect(queue.add(.offer(offer), number: 1, from: try RoutingIdentity("peer \(number)")) == .added)
        }
        #expect(queue.add(.offer(offer), number: 1, from: peer) == .crowded)
    }
}

@Suite struct PushPlacesTests {
    private let directory: TemporaryDirectory
    private let store: RunStore
    private var places = PushPlaces()
    private let now = ContinuousClock.now

    init() throws {
        directory = try TemporaryDirectory()
        store = try RunStore(opening: FilePath(directory.path), quota: .bytes(1 << 30))
    }

    private func part(_ rank: Int) -> PushedPart {
        PushedPart(
            run: "monday", place: PartialsPlace(rank: rank, sequence: 0),
            content: BlobReference(digest: BlobDigest(sha256: [UInt8](repeating: 1, count: 32)), byteCount: 9))
    }

    private mutating func begin(_ rank: Int, by client: String) throws -> RoutingIdentity {
        let peer = try RoutingIdentity("peer \(rank)")
        guard case .incoming(let incoming) = try store.begin(part(rank), from: client, at: 0) else { return peer }
        places.begin(
            PushPlaces.Push(number: 1, incoming: incoming, client: client, sender: "\(client) on x", lastChunk: now),
            at: peer)
        return peer
    }

    @Test mutating func `a client has 16 places, and all clients have 32`() throws {
        let peer = try RoutingIdentity("new")
        for rank in 0..<16 { _ = try begin(rank, by: "one") }
        #expect(places.obstacle(to: part(40), by: "one", at: peer, now) == .full(isClient: true))
        #expect(places.obstacle(to: part(40), by: "two", at: peer, now) == nil)
        for rank in 16..<32 { _ = try begin(rank, by: "two") }
        #expect(places.obstacle(to: part(40), by: "three", at: peer, now) == .full(isClient: false))
        // A connection that offers anew gives back its own place.
        let first = try RoutingIdentity("peer 0")
        #expect(places.obstacle(to: part(40), by: "one", at: first, now) == nil)
    }

    @Test mutating func `a push gives way to its own client, and to others when it is silent`() throws {
        let first = try begin(3, by: "one")
        let peer = try RoutingIdentity("new")
        #expect(places.obstacle(to: part(3), by: "two", at: peer, now) == .taken(by: "one on x"))
        #expect(places.obstacle(to: part(3), by: "one", at: peer, now) == .stale(first))
        #expect(places.obstacle(to: part(3), by: "two", at: peer, now + .seconds(2)) == .stale(first))
        #expect(places.silent(at: now + .seconds(59)).isEmpty)
        #expect(places.silent(at: now + .seconds(60)) == [first])
        #expect(places.isOpen("monday") && !places.isOpen("tuesday"))
        places.end(at: first)
        #expect(!places.isOpen("monday"))
    }
}
