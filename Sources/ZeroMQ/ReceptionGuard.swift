/// How much a router's connections make libzmq hold, by what the kernel received and what was delivered.
///
/// libzmq bounds each frame's size (`ZMQ_MAXMSGSIZE`), but neither the number of frames of a message that never ends
/// nor what comes while the socket's thread does other things. What a connection received and did not deliver as
/// messages is therefore counted here; connections above a limit are to be ended. One that ended needs no account: what
/// it left as messages is taken before another is accepted.
///
/// A state machine without clock and sockets: the socket's thread tells it what happens and asks from time to time.
package struct ReceptionGuard<Connection: Equatable> {
    private struct Account {
        let connection: Connection
        /// Of the received bytes, those that are known to be delivered.
        var delivered: UInt64 = 0
        var hasDelivered = false
    }

    /// Bytes of one connection's message that has no end yet.
    private let unfinishedBytesMax: UInt64
    /// Bytes of one connection.
    private let connectionBytesMax: UInt64
    /// Bytes of all connections together.
    private let bytesMax: UInt64
    private var accounts: [Int32: Account] = [:]

    package init(unfinishedBytesMax: Int, connectionBytesMax: Int, bytesMax: Int) {
        self.unfinishedBytesMax = UInt64(max(unfinishedBytesMax, 0))
        self.connectionBytesMax = UInt64(max(connectionBytesMax, 0))
        self.bytesMax = UInt64(max(bytesMax, 0))
    }

    /// Whether there is nothing to look after.
    package var isEmpty: Bool { accounts.isEmpty }

    /// How many connections are looked after.
    package var count: Int { accounts.count }

    /// A connection stands; it takes over the descriptor of one that ended.
    ///
    /// - Parameters:
    ///   - connection: The connection.
    ///   - descriptor: Its descriptor.
    ///   - receivedBytes: What the kernel received on it before its messages are counted.
    package mutating func begin(_ connection: Connection, descriptor: Int32, receivedBytes: UInt64 = 0) {
        accounts[descriptor] = Account(connection: connection, delivered: receivedBytes)
    }

    /// The connection that has a descriptor, if it is looked after.
    package func connection(at descriptor: Int32) -> Connection? { accounts[descriptor]?.connection }

    /// A connection ended.
    package mutating func end(descriptor: Int32) {
        accounts[descriptor] = nil
    }

    /// Bytes of a message were delivered; fewer than it took on the wire, since the protocol adds some.
    package mutating func deliver(_ byteCount: Int, descriptor: Int32) {
        accounts[descriptor]?.delivered += UInt64(byteCount)
        accounts[descriptor]?.hasDelivered = true
    }

    /// Settles the accounts and says which connections hold too much; each is named once.
    ///
    /// - Parameters:
    ///   - isDrained: Whether all whole messages were delivered. Then a connection that delivered any owes nothing:
    ///     what the protocol added to its messages is not known to the byte. A message without end delivers nothing,
    ///     and counts in full.
    ///   - receivedBytes: What the kernel received on a connection since it stands; `nil` for one that is gone.
    /// - Returns: Connections to be ended, with the bytes that they hold.
    package mutating func settle(
        isDrained: Bool, receivedBytes: (Connection) -> UInt64?
    ) -> [(connection: Connection, byteCount: UInt64)] {
        var held: [(descriptor: Int32, byteCount: UInt64)] = []
        for (descriptor, account) in accounts {
            guard let received = receivedBytes(account.connection) else { continue }
            if isDrained && account.hasDelivered || received < account.delivered {
                accounts[descriptor]?.delivered = received
                accounts[descriptor]?.hasDelivered = false
            } else {
                held.append((descriptor, received - account.delivered))
            }
        }
        held.sort { $0.byteCount > $1.byteCount }
        var sum = held.reduce(0) { $0 + $1.byteCount }
        // With all whole messages delivered, what is left belongs to none.
        let bytesMaxEach = isDrained ? min(unfinishedBytesMax, connectionBytesMax) : connectionBytesMax
        var excess: [(connection: Connection, byteCount: UInt64)] = []
        for (descriptor, byteCount) in held where byteCount > bytesMaxEach || sum > bytesMax {
            sum -= byteCount
            guard let account = accounts.removeValue(forKey: descriptor) else { continue }
            excess.append((account.connection, byteCount))
        }
        return excess
    }
}
