import Identifiers
import PushedRuns
import Testing
import ZeroMQ

@testable import CoordinatorService

@Suite struct PeerQueueTests {
    private let queue = PeerQueue<String>(requestsPerPeer: 10)
    private let peer: RoutingIdentity

    init() throws { peer = try RoutingIdentity("one") }

    private func add(_ request: String, from other: RoutingIdentity? = nil) -> PeerQueueOutcome {
        queue.add(request, number: 1, from: other ?? peer, needsOpening: request == "chunk")
    }

    @Test func `messages with bytes are taken only while a peer is open, and no more than the bound`() {
        #expect(add("chunk") == .stranger)
        queue.open(peer)
        for _ in 0..<10 { #expect(add("chunk") == .added) }
        #expect(add("chunk") == .full)
        queue.close(peer)
        #expect(add("chunk") == .stranger)
    }

    @Test func `an entry that is done makes room, and one of the desk counts for nobody`() async {
        queue.open(peer)
        for _ in 0..<10 { _ = add("offer") }
        queue.tell("step", number: 3, about: peer)
        var entries = queue.entries.makeAsyncIterator()
        if let first = await entries.next() { queue.end(first) }
        #expect(add("offer") == .added)
        #expect(add("offer") == .full)
    }

    @Test func `offers of 256 connections that are not open may wait`() throws {
        for number in 0..<256 { #expect(add("offer", from: try RoutingIdentity("peer \(number)")) == .added) }
        #expect(add("offer") == .crowded)
    }
}

@Suite struct PushPlacesTests {
    private var places = PushPlaces<Int>(staleness: .seconds(2), silence: .seconds(60))
    private let now = ContinuousClock.now

    private func place(_ rank: Int) -> RunPlace {
        RunPlace(run: "monday", place: PartialsPlace(rank: rank, sequence: 0))
    }

    private mutating func begin(_ rank: Int, by client: String) throws -> RoutingIdentity {
        let peer = try RoutingIdentity("peer \(rank)")
        places.begin(
            .init(number: 1, at: place(rank), content: rank, client: client, sender: "\(client) on x", lastChunk: now),
            at: peer)
        return peer
    }

    @Test mutating func `a client has 16 places, and all clients have 32`() throws {
        let peer = try RoutingIdentity("new")
        for rank in 0..<16 { _ = try begin(rank, by: "one") }
        #expect(places.obstacle(to: place(40), by: "one", at: peer, now) == .full(isClient: true))
        #expect(places.obstacle(to: place(40), by: "two", at: peer, now) == nil)
        for rank in 16..<32 { _ = try begin(rank, by: "two") }
        #expect(places.obstacle(to: place(40), by: "three", at: peer, now) == .full(isClient: false))
        // A connection that offers anew gives back its own place.
        let first = try RoutingIdentity("peer 0")
        #expect(places.obstacle(to: place(40), by: "one", at: first, now) == nil)
    }

    @Test mutating func `a push gives way to its own client, and to others when it is silent`() throws {
        let first = try begin(3, by: "one")
        let peer = try RoutingIdentity("new")
        #expect(places.obstacle(to: place(3), by: "two", at: peer, now) == .taken(by: "one on x"))
        #expect(places.obstacle(to: place(3), by: "one", at: peer, now) == .stale(first))
        #expect(places.obstacle(to: place(3), by: "two", at: peer, now + .seconds(2)) == .stale(first))
        #expect(places.silent(at: now + .seconds(59)).isEmpty)
        #expect(places.silent(at: now + .seconds(60)) == [first])
        #expect(places.isOpen("monday") && !places.isOpen("tuesday"))
        places.end(at: first)
        #expect(!places.isOpen("monday"))
    }
}
