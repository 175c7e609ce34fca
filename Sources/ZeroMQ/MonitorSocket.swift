internal import CZeroMQ
internal import Synchronization

/// The events of another socket, as libzmq's I/O threads publish them (zmq_socket_monitor(3)).
struct MonitorSocket: ~Copyable {
    private static let createdCount = Atomic(0)

    // ZMQ_EVENT_ACCEPT_FAILED is left out: without descriptors libzmq tries again at once, and its events would fill
    // the memory. ``DescriptorReserve`` notices the lack instead.
    private static let watchedEvents =
        ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED
        | ZMQ_EVENT_BIND_FAILED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED
        | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
        | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH

    private let socket: Socket

    init(watching watched: borrowing Socket, in context: Context) throws(ZeroMQError) {
        let number = Self.createdCount.add(1, ordering: .relaxed).newValue
        let address = "inproc://kfacd.monitor.\(number)"
        try watched.startMonitor(at: address, events: Self.watchedEvents)
        let socket = try Socket(.pair, in: context)
        // Unlimited. At a limit libzmq's I/O thread would block while it holds a lock that closing the watched socket
        // needs. The channel's thread reads everything at every turn.
        try socket.set(ZMQ_RCVHWM, "ZMQ_RCVHWM", to: 0)
        try socket.connect(to: address)
        self.socket = socket
    }

    func pollItem() -> zmq_pollitem_t {
        unsafe socket.pollItem(events: ZMQ_POLLIN)
    }

    /// The next event and its value; nil when there is none.
    ///
    /// For a connection that begins or ends, and for a bound endpoint, the value is the descriptor.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; the event is lost.
    func next() throws(ZeroMQError) -> (event: ChannelEvent, value: Int32)? {
        while let first = try socket.receive() {
            guard first.hasMore, let second = try socket.receive() else { return nil }
            let endpoint = String(decoding: second.frame.copyBytes(), as: UTF8.self)
            let bytes = first.frame.copyBytes()
            if let event = ChannelEvent(monitorFrame: bytes, endpoint: endpoint) {
                return (event, ChannelEvent.value(ofMonitorFrame: bytes))
            }
        }
        return nil
    }
}

extension ChannelEvent {
    /// The value of an event.
    fileprivate static func value(ofMonitorFrame bytes: [UInt8]) -> Int32 {
        Int32(bitPattern: bytes.dropFirst(2).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
    }

    /// Reads libzmq's 6 bytes, a 16-bit event and a 32-bit value in the machine's byte order.
    init?(monitorFrame bytes: [UInt8], endpoint: String) {
        guard bytes.count == 6 else { return nil }
        let event = Int32(UInt16(littleEndian: UInt16(bytes[0]) | UInt16(bytes[1]) << 8))
        let value = Self.value(ofMonitorFrame: bytes)
        switch event {
        case ZMQ_EVENT_CONNECTED: self = .connected(endpoint: endpoint)
        case ZMQ_EVENT_CONNECT_RETRIED:
            self = .connectRetried(endpoint: endpoint, after: .milliseconds(Int64(value)))
        case ZMQ_EVENT_LISTENING: self = .listening(endpoint: endpoint)
        case ZMQ_EVENT_ACCEPTED: self = .accepted(endpoint: endpoint)
        case ZMQ_EVENT_BIND_FAILED: self = .bindFailed(endpoint: endpoint, errorNumber: value)
        case ZMQ_EVENT_CLOSED: self = .closed(endpoint: endpoint)
        case ZMQ_EVENT_DISCONNECTED: self = .disconnected(endpoint: endpoint)
        case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: self = .handshakeSucceeded(endpoint: endpoint)
        case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            self = .handshakeFailed(endpoint: endpoint, .connectionLost(errorNumber: value))
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
            self = .handshakeFailed(endpoint: endpoint, .protocolError(code: value))
        case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
            self = .handshakeFailed(endpoint: endpoint, .refused(status: value))
        default: return nil
        }
    }
}
