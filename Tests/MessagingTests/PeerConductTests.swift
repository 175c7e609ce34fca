import Testing
import ZeroMQ

@testable import Messaging

@Suite struct PeerConductTests {
    private let start = ContinuousClock.now
    private let peer: RoutingIdentity

    init() throws { peer = try RoutingIdentity("peer") }

    @Test func `a peer is ignored from its third message that is none, for a minute`() throws {
        var conduct = PeerConduct()
        conduct.strike(peer, at: start)
        conduct.strike(peer, at: start + .seconds(1))
        let before = conduct.isIgnored(peer, at: start + .seconds(1))
        #expect(!before)
        conduct.strike(peer, at: start + .seconds(2))
        let other = conduct.isIgnored(try RoutingIdentity("other"), at: start + .seconds(2))
        #expect(!other)
        let after = [2, 61, 62].map { conduct.isIgnored(peer, at: start + .seconds($0)) }
        #expect(after == [true, true, false])
    }

    @Test func `messages that are none count together only within a minute`() {
        var conduct = PeerConduct()
        for minute in 0..<5 { conduct.strike(peer, at: start + .seconds(60 * minute)) }
        let isIgnored = conduct.isIgnored(peer, at: start + .seconds(240))
        #expect(!isIgnored)
    }

    @Test func `of too many peers the one that behaved longest is forgotten`() throws {
        var conduct = PeerConduct()
        for _ in 0..<3 { conduct.strike(peer, at: start) }
        for number in 0..<PeerConduct.peerCountMax {
            conduct.strike(try RoutingIdentity("peer-\(number)"), at: start + .seconds(1))
        }
        let isIgnored = conduct.isIgnored(peer, at: start + .seconds(1))
        #expect(!isIgnored)
    }

    @Test func `a thing is news once a minute, and only so many things are`() {
        var filter = NewsFilter()
        let key = [0, 59, 60].map { filter.isNews("key", at: start + .seconds($0)) }
        #expect(key == [true, false, true])
        let others = (1..<NewsFilter.nameCountMax).map { filter.isNews("\($0)", at: start + .seconds(61)) }
        #expect(others.allSatisfy { $0 })
        let more = [61, 122].map { filter.isNews("one more", at: start + .seconds($0)) }
        #expect(more == [false, true])
    }
}
