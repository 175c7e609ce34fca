import TestSupport
import Testing

@testable import CoordinatorService

struct UploadCreditTests {
    private typealias Key = UploadCredit<String>.Key

    private var credit = UploadCredit<String>(chunksMax: 10)

    @Test mutating func `what goes beyond the bound waits, and follows in the order of asking`() {
        #expect(credit.ask(for: 8, of: key("a", 1)) == 8)
        #expect(credit.ask(for: 8, of: key("b", 1)) == 2)
        #expect(credit.ask(for: 8, of: key("b", 2)) == 0)
        #expect(credit.next() == nil)
        for _ in 0..<7 { credit.receive(from: key("a", 1)) }
        expectNext(key("b", 1), 6)
        expectNext(key("b", 2), 1)
        #expect(credit.next() == nil)
        #expect(credit.chunksUnderWay == 10)
    }

    @Test mutating func `a peer that has nothing under way gets one chunk whoever holds the rest`() {
        #expect(credit.ask(for: 10, of: key("hog", 1)) == 10)
        #expect(credit.ask(for: 8, of: key("late", 1)) == 1)
        #expect(credit.ask(for: 8, of: key("late", 2)) == 0)
        credit.receive(from: key("late", 1))
        expectNext(key("late", 1), 1)
        #expect(credit.next() == nil)
    }

    @Test mutating func `what a transfer did not use is free when it ends`() {
        #expect(credit.ask(for: 10, of: key("a", 1)) == 10)
        credit.receive(from: key("a", 1))
        credit.end(key("a", 1))
        #expect(credit.chunksUnderWay == 0)
        #expect(credit.ask(for: 10, of: key("b", 1)) == 10)
        #expect(credit.ask(for: 4, of: key("b", 2)) == 0)
        credit.end(key("b", 2))
        credit.end(key("b", 1))
        #expect(credit.next() == nil)
    }

    @Test mutating func `chunks that nobody granted change nothing`() {
        let wasGranted = credit.receive(from: key("a", 1))
        #expect(!wasGranted)
        credit.end(key("a", 1))
        #expect(credit.chunksUnderWay == 0)
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func `whatever happens the bound holds, and all that is asked for is granted in the end`(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var credit = UploadCredit<String>(chunksMax: 10)
        let keys = (0..<4).flatMap { peer in (0..<3).map { key("peer \(peer)", $0) } }
        var asked: [Key: Int] = [:]
        var granted: [Key: Int] = [:]
        var received: [Key: Int] = [:]
        for step in 0..<2000 {
            guard let key = keys.randomElement(using: &random) else { return }
            if step < 1000, Bool.random(using: &random) {
                let chunks = Int.random(in: 1...8, using: &random)
                asked[key, default: 0] += chunks
                granted[key, default: 0] += credit.ask(for: chunks, of: key)
            } else if let open = keys.first(where: { received[$0, default: 0] < granted[$0, default: 0] }) {
                received[open, default: 0] += 1
                credit.receive(from: open)
            }
            while let (key, chunks) = credit.next() { granted[key, default: 0] += chunks }
            #expect(credit.chunksUnderWay <= 10 + 4)
            let underWay = granted.values.reduce(0, +) - received.values.reduce(0, +)
            #expect(credit.chunksUnderWay == underWay)
        }
        while let open = keys.first(where: { received[$0, default: 0] < granted[$0, default: 0] }) {
            received[open, default: 0] += 1
            credit.receive(from: open)
            while let (key, chunks) = credit.next() { granted[key, default: 0] += chunks }
        }
        #expect(granted == asked)
    }

    private func key(_ peer: String, _ transfer: UInt64) -> Key { Key(peer: peer, transfer: transfer) }

    private mutating func expectNext(_ key: Key, _ chunks: Int) {
        guard let next = credit.next() else {
            Issue.record("nobody gets credit")
            return
        }
        #expect(next.key == key)
        #expect(next.chunks == chunks)
    }
}
