/// Connections to a router by which no message has come yet: of peers that will prove a key, and of all others.
///
/// Anybody who reaches the endpoint can make some. So each is bounded in bytes and time, and all are in number. Beyond
/// a bound only that connection ends: no address is remembered, since peers with a key may come from the same one. Of
/// too many, the host with the most loses its oldest. That spares peers with a key: they are heard a moment after they
/// connect, and do not count here any more.
///
/// A router ignores a connection that claims a taken name. libzmq keeps what it sent, even after its end: ``leftBytes``
/// counts that, of all such connections together.
///
/// A state machine without clock and sockets: the socket's thread tells it what happens and asks from time to time.
package struct UnheardConnections<Witness: ConnectionWitness> {
    /// What these connections may take.
    package struct Bounds: Sendable {
        /// How many may be there; above it an eighth of them goes at once.
        package var count: Int
        /// Bytes that one may send before its key is authorised, where keys are asked for.
        package var handshakeBytes: UInt64
        /// How long one may take to send more than a handshake.
        package var silence: Duration
        /// Whether peers have to prove a key.
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
        /// How often it was settled since it ended: its messages may come a moment later.
        var settlings = 0
    }

    /// What a router sends at most before a key is authorised: its greeting, a WELCOME and an ERROR are 246 bytes; a
    /// READY makes them more than 290.
    ///
    /// Source: ZeroMQ RFC 23 and 26.
    private static var sentBytesBeforeProof: UInt64 { 256 }
    /// What libzmq keeps of a connection besides what it sent: two queues.
    private static var libraryBytes: UInt64 { 48 << 10 }
    /// What a greeting takes at least without keys.
    private static var greetingBytes: UInt64 { 96 }

    private let bounds: Bounds
    private var entries: [Int32: Entry] = [:]
    private var numbers: UInt64 = 0
    /// How many stand and were not ended here.
    package private(set) var count = 0
    /// Bytes that libzmq may keep of connections that ended unheard.
    package private(set) var leftBytes: UInt64 = 0

    package init(bounds: Bounds) {
        self.bounds = bounds
    }

    /// Whether there is nothing to look after.
    package var isEmpty: Bool { entries.isEmpty }

    /// A connection stands; an earlier one of its descriptor ended unheard.
    ///
    /// - Returns: The host of that one, and why it ended.
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

    /// A connection delivered a message.
    package mutating func deliver(descriptor: Int32) {
        guard let entry = entries.removeValue(forKey: descriptor) else { return }
        if entry.witness != nil, entry.cause == nil { count -= 1 }
    }

    /// A connection ended.
    package mutating func end(descriptor: Int32) {
        guard var entry = entries[descriptor], let witness = entry.witness else { return }
        // libzmq has closed it; with our descriptor open its peer would not learn that.
        witness.hangUp()
        entry.left = leftBytes(of: witness)
        entry.witness = nil
        entries[descriptor] = entry
        if entry.cause == nil { count -= 1 }
    }

    /// Ends connections that take too much or too long, and forgets those that ended and left no message.
    ///
    /// - Parameters:
    ///   - now: The time.
    ///   - isDrained: Whether all whole messages were delivered: else those of connections that ended may still come.
    /// - Returns: The hosts of connections that ended unheard since the last time, and why.
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

    /// Ends the oldest connections of the host that has the most: an eighth of all, so that this is seldom done.
    package mutating func makeRoom() {
        let standing = entries.filter { $0.value.cause == nil && $0.value.witness != nil }
        // A silent connection with a proved key ends only where there are few others.
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

    /// Whether a connection's key is authorised; not known where none is asked for.
    private func hasProved(_ witness: Witness) -> Bool {
        bounds.needsKeys && (witness.bytes?.sent ?? 0) > Self.sentBytesBeforeProof
    }

    /// What libzmq may keep of a connection that ended: of a handshake that was not finished nothing.
    private func leftBytes(of witness: Witness) -> UInt64 {
        guard let bytes = witness.bytes else { return 0 }
        let isPossible = bounds.needsKeys ? bytes.sent > Self.sentBytesBeforeProof : bytes.received > Self.greetingBytes
        // What libzmq has not read it does not keep.
        return isPossible ? bytes.received - min(witness.unreadBytes, bytes.received) + Self.libraryBytes : 0
    }
}

/// Sees a connection of libzmq's from outside, also when libzmq has closed it.
package protocol ConnectionWitness {
    /// The peer's address.
    var host: String { get }
    /// Bytes that the kernel has taken in and was given; `nil` when they are not known.
    var bytes: (received: UInt64, sent: UInt64)? { get }
    /// Of the received bytes those that nobody has read.
    var unreadBytes: UInt64 { get }
    /// Ends the connection.
    func hangUp()
}

/// Why a connection ended before a message came by it.
public enum UnheardEnd: String, CaseIterable, Sendable {
    /// Its peer ended it, or the handshake failed: no keys, other keys, other bytes, or too slow.
    case failed
    /// Too many connections were there, and it was the oldest of the host with the most.
    case crowded
    /// It sent more than a handshake takes before it had proved a key.
    case excessive
    /// It said nothing for too long.
    case silent
}
