import Testing
import ZeroMQ

struct ReceptionGuardTests {
    /// Here the descriptors are the names of the connections.
    private var accounts = ReceptionGuard<Int32>(unfinishedBytesMax: 500, connectionBytesMax: 1000, bytesMax: 2500)

    @Test mutating func `what was sent and not delivered counts, and only that`() {
        accounts.begin(1, descriptor: 1)
        accounts.deliver(5000, descriptor: 1)
        #expect(settle(isDrained: false, [1: 6000]).isEmpty)
        #expect(settle(isDrained: false, [1: 6001]) == [1: 1001])
    }

    @Test mutating func `of a message without end less is taken than of whole ones that wait`() {
        accounts.begin(1, descriptor: 1)
        #expect(settle(isDrained: true, [1: 500]).isEmpty)
        #expect(settle(isDrained: false, [1: 501]).isEmpty)
        #expect(settle(isDrained: true, [1: 501]) == [1: 501])
    }

    @Test mutating func `a connection that holds too much is named once`() {
        accounts.begin(1, descriptor: 1)
        #expect(settle(isDrained: true, [1: 1001]) == [1: 1001])
        #expect(accounts.isEmpty)
        #expect(settle(isDrained: true, [1: 5000]).isEmpty)
    }

    @Test mutating func `what the protocol adds is forgiven whenever all whole messages are delivered`() {
        accounts.begin(1, descriptor: 1)
        var received: UInt64 = 0
        for _ in 0..<100 {
            received += 100
            accounts.deliver(10, descriptor: 1)
            #expect(settle(isDrained: true, [1: received]).isEmpty)
        }
    }

    @Test mutating func `a message without end is not forgiven for others being delivered`() {
        for connection: Int32 in [1, 2] { accounts.begin(connection, descriptor: connection) }
        accounts.deliver(500, descriptor: 2)
        #expect(settle(isDrained: true, [1: 400, 2: 700]).isEmpty)
        accounts.deliver(500, descriptor: 2)
        #expect(settle(isDrained: true, [1: 1200, 2: 1400]) == [1: 1200])
    }

    @Test mutating func `above the limit of all, those that hold most are named until the rest fits`() {
        for connection: Int32 in 1...4 { accounts.begin(connection, descriptor: connection) }
        #expect(settle(isDrained: false, [1: 700, 2: 900, 3: 800, 4: 600]) == [2: 900])
        #expect(settle(isDrained: false, [1: 700, 3: 800, 4: 600]).isEmpty)
    }

    @Test mutating func `a descriptor that another connection has by now starts anew`() {
        accounts.begin(1, descriptor: 7)
        accounts.deliver(900, descriptor: 7)
        accounts.end(descriptor: 7)
        accounts.begin(2, descriptor: 7)
        // A message that the first connection left behind.
        accounts.deliver(900, descriptor: 7)
        #expect(settle(isDrained: false, [2: 10]).isEmpty)
        #expect(settle(isDrained: false, [2: 1011]) == [2: 1001])
    }

    @Test mutating func `a connection that is gone holds nothing`() {
        accounts.begin(1, descriptor: 1)
        #expect(settle(isDrained: false, [:]).isEmpty)
        accounts.end(descriptor: 1)
        #expect(accounts.isEmpty)
    }

    private mutating func settle(isDrained: Bool, _ received: [Int32: UInt64]) -> [Int32: UInt64] {
        let excess = accounts.settle(isDrained: isDrained) { received[$0] }
        return Dictionary(uniqueKeysWithValues: excess.map { ($0.connection, $0.byteCount) })
    }
}
