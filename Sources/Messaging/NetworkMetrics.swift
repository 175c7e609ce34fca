public import PrometheusMetrics
public import ZeroMQ

/// The traffic of a daemon's socket as metrics.
public enum NetworkMetrics {
    /// The families of these metrics.
    public static let families: [MetricFamily] = [
        MetricFamily(
            "kfacd_network_transmit_bytes_total", help: "Bytes of the frames sent, by worker; clients count as one.",
            kind: .counter, labels: ["peer"]),
        MetricFamily(
            "kfacd_network_receive_bytes_total", help: "Bytes of the frames received, by worker; clients count as one.",
            kind: .counter, labels: ["peer"]),
        MetricFamily(
            "kfacd_network_dropped_messages_total",
            help: "Messages that were not sent: their peer was gone or took none, or they were too large.",
            kind: .counter),
        MetricFamily(
            "kfacd_queue_bytes",
            help: "Bytes of messages that wait in a socket's queue, or (held) for their peers to take them.",
            kind: .gauge, labels: ["socket", "direction"]),
        MetricFamily(
            "kfacd_queue_messages", help: "Messages that wait in a socket's queue.", kind: .gauge,
            labels: ["socket", "direction"]),
        MetricFamily(
            "kfacd_connections",
            help: "Connections to the coordinator: heard, or unheard before their first message.",
            kind: .gauge, labels: ["state"]),
        MetricFamily(
            "kfacd_unheard_connections_total",
            help: "Connections that ended before their first message, by cause: failed (the handshake or the peer), "
                + "crowded (too many), excessive (bytes), silent, exhausted (no descriptor left).",
            kind: .counter, labels: ["end"]),
        MetricFamily(
            "kfacd_socket_renewals_total",
            help: "Resets of all connections because some with taken names had left too many bytes.",
            kind: .counter),
    ]

    /// The current numbers of a coordinator's router.
    ///
    /// - Parameters:
    ///   - statistics: The socket's counts.
    ///   - unsendable: Messages that the socket never received because they were too large.
    /// - Returns: One sample for each number.
    public static func samples(router statistics: ChannelStatistics, unsendable: UInt64 = 0) -> [MetricSample] {
        samples("router", statistics, statistics.peers, unsendable: unsendable)
            + UnheardEnd.allCases.map { end in
                MetricSample("kfacd_unheard_connections_total", [end.rawValue], statistics.unheardEnds[end] ?? 0)
            } + [
                MetricSample(
                    "kfacd_connections", ["heard"], max(statistics.connections - statistics.unheardConnections, 0)),
                MetricSample("kfacd_connections", ["unheard"], statistics.unheardConnections),
                MetricSample("kfacd_socket_renewals_total", [], statistics.renewals),
            ]
    }

    /// The current numbers of a worker's dealer; the coordinator is its only peer.
    public static func samples(dealer statistics: ChannelStatistics) -> [MetricSample] {
        var coordinator = PeerTraffic()
        (coordinator.sentBytes, coordinator.receivedBytes) = (statistics.sentBytes, statistics.receivedBytes)
        return samples("dealer", statistics, ["coordinator": coordinator])
    }

    private static func samples(
        _ socket: String, _ statistics: ChannelStatistics, _ peers: [String: PeerTraffic], unsendable: UInt64 = 0
    ) -> [MetricSample] {
        peers.flatMap { name, traffic in
            [
                MetricSample("kfacd_network_transmit_bytes_total", [name], traffic.sentBytes),
                MetricSample("kfacd_network_receive_bytes_total", [name], traffic.receivedBytes),
            ]
        } + [
            MetricSample("kfacd_network_dropped_messages_total", [], UInt64(statistics.droppedMessages) + unsendable),
            MetricSample("kfacd_queue_bytes", [socket, "transmit"], statistics.outboundBytes),
            MetricSample("kfacd_queue_bytes", [socket, "receive"], statistics.inboundBytes),
            MetricSample("kfacd_queue_bytes", [socket, "held"], statistics.heldBytes),
            MetricSample("kfacd_queue_messages", [socket, "transmit"], statistics.outboundMessages),
            MetricSample("kfacd_queue_messages", [socket, "receive"], statistics.inboundMessages),
        ]
    }
}
