import ZeroMQ

/// Peers that are ignored for a while because they sent bytes that are not a message.
///
/// Such a peer loses its connection. Further bytes from it are dropped unread.
/// Bound: ``peerCountMax`` peers. For a new one, the peer whose last offence is oldest is forgotten.
struct PeerConduct {
    private struct Record {
        var strikes: Int
        var last: ContinuousClock.Instant
    }

    /// The number of offences within the period after which a peer is ignored.
    static let strikesMax = 3
    /// How long a peer is ignored after its last offence.
    static let period: Duration = .seconds(60)
    static let peerCountMax = 1024

    private var records: [RoutingIdentity: Record] = [:]

    /// Whether the peer's messages are dropped unread.
    mutating func isIgnored(_ peer: RoutingIdentity, at now: ContinuousClock.Instant) -> Bool {
        guard !records.isEmpty, let record = records[peer] else { return false }
        guard now - record.last < Self.period else {
            records[peer] = nil
            return false
        }
        return record.strikes >= Self.strikesMax
    }

    /// Notes that a peer must be ignored.
    mutating func ban(_ peer: RoutingIdentity, at now: ContinuousClock.Instant) {
        for _ in 0..<Self.strikesMax { strike(peer, at: now) }
    }

    /// Notes that a peer sent bytes that are not a message.
    mutating func strike(_ peer: RoutingIdentity, at now: ContinuousClock.Instant) {
        if records[peer] == nil, records.count >= Self.peerCountMax,
            let oldest = records.min(by: { $0.value.last < $1.value.last })
        {
            records[oldest.key] = nil
        }
        let strikes = isIgnored(peer, at: now) ? Self.strikesMax : records[peer]?.strikes ?? 0
        records[peer] = Record(strikes: min(strikes + 1, Self.strikesMax), last: now)
    }
}

/// What the log has reported lately, so that each thing is reported once a minute.
///
/// Bound: ``nameCountMax`` names. Peers can invent more names; those are not reported.
package struct NewsFilter {
    static let period: Duration = .seconds(60)
    static let nameCountMax = 256

    private var told: [String: ContinuousClock.Instant] = [:]

    /// A log that has reported nothing.
    package init() {}

    /// Whether to log something now; after a report it is not news for a minute.
    package mutating func isNews(_ name: String, at now: ContinuousClock.Instant) -> Bool {
        if let last = told[name], now - last < Self.period { return false }
        if told[name] == nil, told.count >= Self.nameCountMax {
            told = told.filter { now - $0.value < Self.period }
            guard told.count < Self.nameCountMax else { return false }
        }
        told[name] = now
        return true
    }
}
