/// Connections to a router that have not delivered a message: of peers that will prove a key, and of all others.
///
/// Anybody who reaches the endpoint can open such connections. So each is bounded in bytes and time, and their number
/// is bounded too. Beyond a bound only that connection ends. No address is remembered, because peers with a key may use
/// the same one. When there are too many, the host with the most loses its oldest. That spares peers with a key: they
/// deliver a message soon after they connect, and then do not count here.
///
/// A router ignores a connection that claims a taken name. libzmq keeps what the connection sent, even after its end.
/// ``leftBytes`` counts these bytes for all such connections.
///
/// A state machine without a clock or sockets. The socket's thread reports events and asks at intervals.
package struct UnheardConnections<Witness: ConnectionWitness> {
    /// The bounds of these connections.
    package struct Bounds: Sendable {
        /// The most such connections; above it an eighth of them ends at once.
        package var count: Int
        /// Bytes that one connection may send before its key is authorised, if the router asks for keys.
        package var handshakeBytes: UInt64
        /// The time that a connection has to send more than a handshake.
        package var silence: Duration
        /// Whether peers must prove a key.
        package var needsKeys: Bool

        /// Collects bounds.
        package init(count: Int, handshakeBytes: UInt64, silence: Duration, needsKeys: Bool) {
            self.count = count
            self.handshakeBytes = handshakeBytes
            self.silence = silence
            self.needsKeys = needsKeys
        }
    }

    private struct Entry {
        let number: UInt64
        let host: String
        let since: ContinuousClock.Instant
        /// The connection, while it stands.
        var witness: Witness?
        /// Why it was ended here.
        var cause: UnheardEnd?
        var left: UInt64 = 0
        /// How often the connection was settled since it ended; its messages may arrive a moment later.
        var settlings = 0
    }

    /// The most that a router sends before a key is authorised: its greeting, a WELCOME and an ERROR are 246 bytes.
    ///
    /// With a READY they are more than 290.
    ///
    /// Source: ZeroMQ RFC 23 and 26.
    private static var sentBytesBeforeProof: UInt64 { 256 }
    /// What libzmq keeps of a connection besides the bytes that it sent: two queues.
    private static var libraryBytes: UInt64 { 48 << 10 }
    /// The smallest greeting without keys.
    private static var greetingBytes: UInt64 { 96 }

    private let bounds: Bounds
    private var entries: [Int32: Entry] = [:]
    private var numbers: UInt64 = 0
    /// The number of connections that are open and were not ended here.
    package private(set) var count = 0
    /// Bytes that libzmq may keep of connections that ended without a message.
    package private(set) var leftBytes: UInt64 = 0

    package init(bounds: Bounds) {
        self.bounds = bounds
    }

    /// Whether no connection is watched.
    package var isEmpty: Bool { entries.isEmpty }

    /// Begins to watch a connection; an earlier connection of its descriptor ended without a message.
    ///
    /// - Returns: The host of the earlier connection, and why it ended.
    package mutating func begin(
        _ witness: Witness, descriptor: Int32, at now: ContinuousClock.Instant
    ) -> (host: String, UnheardEnd)? {
        end(descriptor: descriptor)
        let former = entries.removeValue(forKey: descriptor)
        if let former { leftBytes += former.left }
        numbers += 1
        entries[descriptor] = Entry(number: numbers, host: witness.host, since: now, witness: witness)
        count += 1
        if count > bounds.count { makeRoom() }
        return former.map { ($0.host, $0.cause ?? .failed) }
    }

    /// Forgets a connection that delivered a message.
    package mutating func deliver(descriptor: Int32) {
        guard let entry = entries.removeValue(forKey: descriptor) else { return }
        if entry.witness != nil, entry.cause == nil { count -= 1 }
    }

    /// Notes that a connection ended.
    package mutating func end(descriptor: Int32) {
        guard var entry = entries[descriptor], let witness = entry.witness else { return }
        // libzmq has closed the connection. While our descriptor is open, its peer would not learn that.
        witness.hangUp()
        entry.left = leftBytes(of: witness)
        entry.witness = nil
        entries[descriptor] = entry
        if entry.cause == nil { count -= 1 }
    }

    /// Ends connections that take too much or too long; forgets those that ended and left no message.
    ///
    /// - Parameters:
    ///   - now: The time.
    ///   - isDrained: Whether all whole messages were delivered. If not, messages of ended connections may still come.
    /// - Returns: The hosts of connections that ended without a message since the last call, and why.
    package mutating func settle(at now: ContinuousClock.Instant, isDrained: Bool = true) -> [(
        host: String, UnheardEnd
    )] {
        var ends: [(host: String, UnheardEnd)] = []
        for (descriptor, entry) in entries {
            guard let witness = entry.witness else {
                guard isDrained else { continue }
                entries[descriptor]?.settlings += 1
                guard entry.settlings > 0 else { continue }
                entries[descriptor] = nil
                leftBytes += entry.left
                ends.append((entry.host, entry.cause ?? .failed))
                continue
            }
            guard entry.cause == nil else { continue }
            let bytes = witness.bytes
            let received = bytes?.received ?? 0
            if received > bounds.handshakeBytes {
                if bounds.needsKeys, let bytes, bytes.sent <= Self.sentBytesBeforeProof {
                    hangUp(descriptor, because: .excessive)
                }
            } else if now - entry.since > bounds.silence {
                hangUp(descriptor, because: .silent)
            }
        }
        return ends
    }

    // MARK: - Room for others

    /// Ends the oldest connections of the host that has the most; it ends an eighth of all, so that it seldom runs.
    package mutating func makeRoom() {
        let standing = entries.filter { $0.value.cause == nil && $0.value.witness != nil }
        // A silent connection with a proved key ends only when there are few others.
        let unproven = standing.filter { !($0.value.witness.map(hasProved) ?? true) }
        let candidates = unproven.count > bounds.count / 2 ? unproven : standing
        let hosts = Dictionary(grouping: candidates) { $0.value.host }
        guard let most = hosts.values.max(by: { $0.count < $1.count }) else { return }
        for (descriptor, _) in most.sorted(by: { $0.value.number < $1.value.number }).prefix(max(bounds.count / 8, 1)) {
            hangUp(descriptor, because: .crowded)
        }
    }

    private mutating func hangUp(_ descriptor: Int32, because cause: UnheardEnd) {
        guard let witness = entries[descriptor]?.witness, entries[descriptor]?.cause == nil else { return }
        entries[descriptor]?.cause = cause
        count -= 1
        witness.hangUp()
    }

    /// Whether a connection's key is authorised; this is not known when the router asks for no key.
    private func hasProved(_ witness: Witness) -> Bool {
        bounds.needsKeys && (witness.bytes?.sent ?? 0) > Self.sentBytesBeforeProof
    }

    /// Bytes that libzmq may keep of a connection that ended; it keeps nothing of an unfinished handshake.
    private func leftBytes(of witness: Witness) -> UInt64 {
        guard let bytes = witness.bytes else { return 0 }
        let isPossible = bounds.needsKeys ? bytes.sent > Self.sentBytesBeforeProof : bytes.received > Self.greetingBytes
        // libzmq does not keep what it has not read.
        return isPossible ? bytes.received - min(witness.unreadBytes, bytes.received) + Self.libraryBytes : 0
    }
}

/// Sees a connection of libzmq from outside, even after libzmq has closed it.
package protocol ConnectionWitness {
    /// The peer's address.
    var host: String { get }
    /// Bytes that the kernel received and bytes that it was given to send; `nil` when they are not known.
    var bytes: (received: UInt64, sent: UInt64)? { get }
    /// The received bytes that nobody has read.
    var unreadBytes: UInt64 { get }
    /// Ends the connection.
    func hangUp()
}

/// Why a connection ended before it delivered a message.
public enum UnheardEnd: String, CaseIterable, Sendable {
    /// Its peer ended it, or the handshake failed: no keys, other keys, other bytes, or too slow.
    case failed
    /// Too many connections were there, and it was the oldest of the host with the most.
    case crowded
    /// It sent more than a handshake takes before it had proved a key.
    case excessive
    /// It sent nothing for too long.
    case silent
    /// This process had no descriptor left for it.
    case exhausted
}
