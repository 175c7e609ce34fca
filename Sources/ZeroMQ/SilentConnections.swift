internal import Glibc

/// Connections to a router that have not delivered a message yet, and what those left behind that never did.
///
/// A router ignores a connection that claims a name which is taken, and libzmq keeps what it sent, also when it has
/// ended. How much it was the kernel knows only, and is asked by a descriptor of our own. A host that left too much
/// behind within an hour is not let in for the rest of it: others leave half a message now and then, when a connection
/// breaks.
///
/// Bound: ``hostCountMax`` hosts; the one that left least is forgotten for a new one.
struct SilentConnections {
    private static let hostCountMax = 1024
    private static let period: Duration = .seconds(3600)
    /// What a greeting takes, with keys, and some more: less than that is no message.
    private static let greetingBytes: UInt64 = 4096

    private struct Silence {
        let witness: ConnectionWitness
        /// How often it was settled since it ended: its messages may come a moment later.
        var settlingsSinceEnd: Int?
    }

    private struct Remains {
        let since: ContinuousClock.Instant
        var byteCount: UInt64 = 0
    }

    private let bytesMax: UInt64
    private var silences: [Int32: Silence] = [:]
    private var remains: [String: Remains] = [:]

    init(bytesPerHostMax: Int) {
        bytesMax = UInt64(max(bytesPerHostMax, 0))
    }

    /// Whether there is nothing to look after.
    var isEmpty: Bool { silences.isEmpty }

    /// Whether a host left too much behind to be let in.
    func isBanned(_ host: String, at now: ContinuousClock.Instant) -> Bool { leftBytes(of: host, at: now) > bytesMax }

    /// A connection stands; what is left of an earlier one of its number is counted.
    mutating func begin(_ connection: TCPConnection, at now: ContinuousClock.Instant) {
        if let former = silences.removeValue(forKey: connection.descriptor) { count(former.witness, at: now) }
        guard let witness = ConnectionWitness(of: connection) else { return }
        silences[connection.descriptor] = Silence(witness: witness)
    }

    /// A connection delivered a message.
    mutating func deliver(descriptor: Int32) {
        silences[descriptor] = nil
    }

    /// A connection ended.
    mutating func end(descriptor: Int32) {
        // libzmq has closed it; with our descriptor open its peer would not learn that.
        silences[descriptor]?.witness.hangUp()
        silences[descriptor]?.settlingsSinceEnd = 0
    }

    /// Counts what connections left behind whose messages would have been delivered by now.
    ///
    /// - Returns: Hosts that are not let in from now on, with what they left.
    mutating func settle(at now: ContinuousClock.Instant) -> [(host: String, byteCount: UInt64)] {
        var banned: [(host: String, byteCount: UInt64)] = []
        for (descriptor, silence) in silences {
            guard let settlings = silence.settlingsSinceEnd else { continue }
            guard settlings > 0 else {
                silences[descriptor]?.settlingsSinceEnd = settlings + 1
                continue
            }
            silences[descriptor] = nil
            let host = silence.witness.host
            let wasBanned = isBanned(host, at: now)
            count(silence.witness, at: now)
            if !wasBanned, isBanned(host, at: now) { banned.append((host, leftBytes(of: host, at: now))) }
        }
        for (host, _) in banned {
            for silence in silences.values where silence.witness.host == host { silence.witness.hangUp() }
        }
        return banned
    }

    private func leftBytes(of host: String, at now: ContinuousClock.Instant) -> UInt64 {
        guard let left = remains[host], now - left.since < Self.period else { return 0 }
        return left.byteCount
    }

    private mutating func count(_ witness: ConnectionWitness, at now: ContinuousClock.Instant) {
        guard let byteCount = witness.receivedBytes, byteCount > Self.greetingBytes else { return }
        let host = witness.host
        if leftBytes(of: host, at: now) == 0 { remains[host] = nil }
        if remains[host] == nil, remains.count >= Self.hostCountMax,
            let least = remains.min(by: { $0.value.byteCount < $1.value.byteCount })
        {
            remains[least.key] = nil
        }
        remains[host, default: Remains(since: now)].byteCount += byteCount
    }
}

/// A descriptor of our own for a connection of libzmq's, which stays the connection's when libzmq has closed its own.
private final class ConnectionWitness: Sendable {
    let host: String
    private let descriptor: Int32

    /// Takes one; `nil` when the process may have no more.
    init?(of connection: TCPConnection) {
        let descriptor = fcntl(connection.descriptor, F_DUPFD_CLOEXEC, 0)
        guard descriptor >= 0 else { return nil }
        self.descriptor = descriptor
        host = connection.host
    }

    deinit { close(descriptor) }

    /// Bytes that the kernel has taken in on the connection.
    var receivedBytes: UInt64? { TCPConnection.receivedBytes(of: descriptor) }

    func hangUp() {
        shutdown(descriptor, Int32(SHUT_RDWR))
    }
}
