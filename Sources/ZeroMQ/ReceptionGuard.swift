/// Bytes that a router's connections make libzmq hold: those that the kernel received minus those delivered.
///
/// libzmq bounds the size of each frame (`ZMQ_MAXMSGSIZE`). It bounds neither the number of frames of a message that
/// never ends, nor what arrives while the socket's thread is busy. So this type counts the bytes that a connection
/// received and did not deliver as messages. Connections above a limit must be ended. A connection that ended needs no
/// account: its messages are taken before another connection is accepted.
///
/// A state machine without a clock or sockets. The socket's thread reports events and asks at intervals.
package struct ReceptionGuard<Connection: Equatable> {
    private struct Account {
        let connection: Connection
        /// The part of the received bytes that is known to be delivered.
        var delivered: UInt64 = 0
        var hasDelivered = false
    }

    /// Bytes of an unfinished message on one connection.
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

    /// Whether no connection is watched.
    package var isEmpty: Bool { accounts.isEmpty }

    /// The number of watched connections.
    package var count: Int { accounts.count }

    /// Begins to watch a connection; it takes over the descriptor of one that ended.
    ///
    /// - Parameters:
    ///   - connection: The connection.
    ///   - descriptor: Its descriptor.
    ///   - receivedBytes: The bytes that the kernel received on it before its messages are counted.
    package mutating func begin(_ connection: Connection, descriptor: Int32, receivedBytes: UInt64 = 0) {
        accounts[descriptor] = Account(connection: connection, delivered: receivedBytes)
    }

    /// The watched connection that has a descriptor, if any.
    package func connection(at descriptor: Int32) -> Connection? { accounts[descriptor]?.connection }

    /// Forgets a connection that ended.
    package mutating func end(descriptor: Int32) {
        accounts[descriptor] = nil
    }

    /// Counts delivered bytes of a message; the wire took more, because the protocol adds some.
    package mutating func deliver(_ byteCount: Int, descriptor: Int32) {
        accounts[descriptor]?.delivered += UInt64(byteCount)
        accounts[descriptor]?.hasDelivered = true
    }

    /// Settles the accounts and returns the connections that hold too much; each is returned once.
    ///
    /// - Parameters:
    ///   - isDrained: Whether all whole messages were delivered. Then a connection that delivered a message owes
    ///     nothing,
    ///   because the protocol's overhead is not known to the byte. An unfinished message delivers nothing, and counts
    ///   in full.
    ///   - receivedBytes: The bytes that the kernel received on a connection since it began; `nil` when it is gone.
    /// - Returns: Connections to end, with the bytes that they hold.
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
        // With all whole messages delivered, the rest belongs to unfinished messages.
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
