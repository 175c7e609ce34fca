/// Connections to a router that ended before they delivered a message: how many, from which hosts, and why.
///
/// Bound: ``hostCountMax`` hosts are named. The connections of others are counted too.
public struct UnheardConnectionsReport: Equatable, Sendable, CustomStringConvertible {
    /// The most hosts that are named.
    static let hostCountMax = 64

    /// The number of connections.
    public private(set) var count = 0
    /// Why they ended.
    public private(set) var ends: [UnheardEnd: Int] = [:]
    /// The hosts that they came from.
    public private(set) var hosts: [String: Int] = [:]

    /// Starts empty.
    public init() {}

    /// Counts a connection.
    public mutating func add(_ host: String, _ end: UnheardEnd) {
        count += 1
        ends[end, default: 0] += 1
        if hosts[host] != nil || hosts.count < Self.hostCountMax { hosts[host, default: 0] += 1 }
    }

    /// Adds the counts of another report.
    public mutating func add(_ other: UnheardConnectionsReport) {
        count += other.count
        ends.merge(other.ends, uniquingKeysWith: +)
        for (host, count) in other.hosts where hosts[host] != nil || hosts.count < Self.hostCountMax {
            hosts[host, default: 0] += count
        }
    }

    /// The three hosts with the most connections, and why the connections ended.
    public var description: String {
        let named = hosts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(3)
        let others = hosts.count > named.count ? " and others" : ""
        let reasons = UnheardEnd.allCases.compactMap { end in ends[end].map { "\($0) \(end.words)" } }
        return "from " + named.map { "\($0.key) (\($0.value))" }.joined(separator: ", ") + others + ": "
            + reasons.joined(separator: ", ")
    }
}

extension UnheardEnd {
    /// The outcome of such a connection, for the log.
    fileprivate var words: String {
        switch self {
        case .failed: "ended in or before the handshake"
        case .crowded: "ended to make room"
        case .excessive: "sent too much before proving a key"
        case .silent: "said nothing in time"
        case .exhausted: "refused because this process has no descriptor left"
        }
    }
}
