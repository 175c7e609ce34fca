public import PrometheusMetrics
public import ZeroMQ

/// What a daemon's socket has sent and received, as metrics.
public enum NetworkMetrics {
    /// The families of these metrics.
    public static let families: [MetricFamily] = [
        MetricFamily(
            "kfacd_network_transmit_bytes_total", help: "Bytes of the frames sent to other daemons and clients.",
            kind: .counter),
        MetricFamily(
            "kfacd_network_receive_bytes_total", help: "Bytes of the frames received from other daemons and clients.",
            kind: .counter),
        MetricFamily(
            "kfacd_network_dropped_messages_total",
            help: "Messages that were not sent because their peer was gone or took none.", kind: .counter),
        MetricFamily(
            "kfacd_queue_bytes",
            help: "Bytes of messages that wait in a socket's queue, or (held) for their peers to take them.",
            kind: .gauge, labels: ["direction"]),
        MetricFamily(
            "kfacd_queue_messages", help: "Messages that wait in a socket's queue.", kind: .gauge,
            labels: ["direction"]),
    ]

    /// The numbers of a socket at one moment.
    public static func samples(_ statistics: ChannelStatistics) -> [MetricSample] {
        [
            MetricSample("kfacd_network_transmit_bytes_total", [], statistics.sentBytes),
            MetricSample("kfacd_network_receive_bytes_total", [], statistics.receivedBytes),
            MetricSample("kfacd_network_dropped_messages_total", [], statistics.droppedMessages),
            MetricSample("kfacd_queue_bytes", ["transmit"], statistics.outboundBytes),
            MetricSample("kfacd_queue_bytes", ["receive"], statistics.inboundBytes),
            MetricSample("kfacd_queue_bytes", ["held"], statistics.heldBytes),
            MetricSample("kfacd_queue_messages", ["transmit"], statistics.outboundMessages),
            MetricSample("kfacd_queue_messages", ["receive"], statistics.inboundMessages),
        ]
    }
}
