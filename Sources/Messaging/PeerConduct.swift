import ZeroMQ

/// Which peers are not listened to for a while, because what they said was no message.
///
/// Such a peer loses its connection; what comes of it all the same is dropped unread.
/// Bound: ``peerCountMax`` peers; the one that behaved longest is forgotten for a new one.
struct PeerConduct {
    private struct Record {
        var strikes: Int
        var last: ContinuousClock.Instant
    }

    /// Messages that were none, within the period, after which a peer is not listened to.
    static let strikesMax = 3
    /// How long a peer is not listened to after the last of them.
    static let period: Duration = .seconds(60)
    static let peerCountMax = 1024

    private var records: [RoutingIdentity: Record] = [:]

    /// Whether what a peer says is dropped unread.
    mutating func isIgnored(_ peer: RoutingIdentity, at now: ContinuousClock.Instant) -> Bool {
        guard !records.isEmpty, let record = records[peer] else { return false }
        guard now - record.last < Self.period else {
            records[peer] = nil
            return false
        }
        return record.strikes >= Self.strikesMax
    }

    /// Notes that a peer is not to be listened to, whatever it says.
    mutating func ban(_ peer: RoutingIdentity, at now: ContinuousClock.Instant) {
        for _ in 0..<Self.strikesMax { strike(peer, at: now) }
    }

    /// Notes that a peer said something that is no message.
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

/// What the log was told of late, so that each thing is told once a minute.
///
/// Bound: ``nameCountMax`` names; peers can make up more, and those are not told.
struct NewsFilter {
    static let period: Duration = .seconds(60)
    static let nameCountMax = 256

    private var told: [String: ContinuousClock.Instant] = [:]

    /// Whether something is worth a line; it is not again for a minute.
    mutating func isNews(_ name: String, at now: ContinuousClock.Instant) -> Bool {
        if let last = told[name], now - last < Self.period { return false }
        if told[name] == nil, told.count >= Self.nameCountMax {
            told = told.filter { now - $0.value < Self.period }
            guard told.count < Self.nameCountMax else { return false }
        }
        told[name] = now
        return true
    }
}
