internal import CZeroMQ

extension SocketOptions {
    /// The largest frame on the wire: CURVE adds a name of 8 bytes, a nonce of 8, a code of 16 and 1 of flags.
    private var maximumWireFrameBytes: Int64 {
        let curveOverhead: Int64 = curve == nil ? 0 : 33
        return Int64(max(maximumFrameBytes, 0)).addingReportingOverflow(curveOverhead).partialValue
    }

    /// Sets the options of a socket that is not yet bound or connected.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)`` with the option; those before it are set.
    func apply(to socket: borrowing Socket, role: ChannelRole, endpoint: Endpoint) throws(ZeroMQError) {
        // 0 means without limit.
        try socket.set(ZMQ_SNDHWM, "ZMQ_SNDHWM", to: Int32(clamping: max(sendHighWaterMark, 1)))
        // The user has no choice here. With a limit libzmq stops reading a connection whose messages nobody takes. It
        // then hears no answer to its probes, ends the connection and makes another. The first message that is taken
        // afterwards ends the process (libzmq issue 3937). ``ChannelLimits`` bounds what is received instead.
        try socket.set(ZMQ_RCVHWM, "ZMQ_RCVHWM", to: 0)
        try socket.set(ZMQ_MAXMSGSIZE, "ZMQ_MAXMSGSIZE", toWide: maximumWireFrameBytes)
        try socket.set(ZMQ_LINGER, "ZMQ_LINGER", to: linger.wholeMilliseconds)
        try socket.set(ZMQ_HANDSHAKE_IVL, "ZMQ_HANDSHAKE_IVL", to: handshakeInterval.wholeMilliseconds)
        try socket.set(ZMQ_IPV6, "ZMQ_IPV6", to: isIPv6Enabled || endpoint.isIPv6 ? 1 : 0)
        if let unreadTimeout {
            try socket.set(ZMQ_TCP_MAXRT, "ZMQ_TCP_MAXRT", to: unreadTimeout.wholeMilliseconds)
        }
        try applyHeartbeat(to: socket)
        try applyKeepalive(to: socket)
        switch role {
        case .router: try applyRouterOptions(to: socket)
        case .dealer: try applyDealerOptions(to: socket)
        }
        try applyCurve(to: socket)
    }

    private func applyHeartbeat(to socket: borrowing Socket) throws(ZeroMQError) {
        guard let heartbeatInterval else { return }
        let timeToLive = min(heartbeatTimeToLive.wholeMilliseconds, 6_553_599)
        try socket.set(ZMQ_HEARTBEAT_IVL, "ZMQ_HEARTBEAT_IVL", to: heartbeatInterval.wholeMilliseconds)
        try socket.set(ZMQ_HEARTBEAT_TIMEOUT, "ZMQ_HEARTBEAT_TIMEOUT", to: heartbeatTimeout.wholeMilliseconds)
        try socket.set(ZMQ_HEARTBEAT_TTL, "ZMQ_HEARTBEAT_TTL", to: timeToLive)
    }

    private func applyKeepalive(to socket: borrowing Socket) throws(ZeroMQError) {
        guard let tcpKeepalive else { return }
        try socket.set(ZMQ_TCP_KEEPALIVE, "ZMQ_TCP_KEEPALIVE", to: 1)
        try socket.set(ZMQ_TCP_KEEPALIVE_IDLE, "ZMQ_TCP_KEEPALIVE_IDLE", to: tcpKeepalive.idle.wholeSeconds)
        try socket.set(ZMQ_TCP_KEEPALIVE_INTVL, "ZMQ_TCP_KEEPALIVE_INTVL", to: tcpKeepalive.interval.wholeSeconds)
        try socket.set(ZMQ_TCP_KEEPALIVE_CNT, "ZMQ_TCP_KEEPALIVE_CNT", to: Int32(clamping: tcpKeepalive.probeCount))
    }

    private func applyRouterOptions(to socket: borrowing Socket) throws(ZeroMQError) {
        // The user has no choice here: without it libzmq silently drops messages for unknown or full peers.
        try socket.set(ZMQ_ROUTER_MANDATORY, "ZMQ_ROUTER_MANDATORY", to: 1)
        // The user has no choice here either. libzmq stops reading a connection whose name another takes over. If that
        // connection then breaks, libzmq ends the process (issue 4364).
        try socket.set(ZMQ_ROUTER_HANDOVER, "ZMQ_ROUTER_HANDOVER", to: 0)
    }

    private func applyDealerOptions(to socket: borrowing Socket) throws(ZeroMQError) {
        try socket.set(ZMQ_IMMEDIATE, "ZMQ_IMMEDIATE", to: isImmediate ? 1 : 0)
        try socket.set(ZMQ_RECONNECT_IVL, "ZMQ_RECONNECT_IVL", to: reconnectInterval.wholeMilliseconds)
        try socket.set(
            ZMQ_RECONNECT_IVL_MAX,
            "ZMQ_RECONNECT_IVL_MAX",
            to: maximumReconnectInterval.wholeMilliseconds
        )
        if let routingIdentity {
            try socket.set(ZMQ_ROUTING_ID, "ZMQ_ROUTING_ID", to: routingIdentity.bytes)
        }
    }

    private func applyCurve(to socket: borrowing Socket) throws(ZeroMQError) {
        switch curve {
        case nil:
            return
        case .server(let keys, authenticator: _):
            try socket.set(ZMQ_CURVE_SERVER, "ZMQ_CURVE_SERVER", to: 1)
            try socket.set(ZMQ_CURVE_SECRETKEY, "ZMQ_CURVE_SECRETKEY", to: keys.secretKey.bytes)
            if !zapDomain.isEmpty {
                try socket.set(ZMQ_ZAP_DOMAIN, "ZMQ_ZAP_DOMAIN", to: Array(zapDomain.utf8))
            }
        case .client(let keys, let serverKey):
            try socket.set(ZMQ_CURVE_PUBLICKEY, "ZMQ_CURVE_PUBLICKEY", to: keys.publicKey.bytes)
            try socket.set(ZMQ_CURVE_SECRETKEY, "ZMQ_CURVE_SECRETKEY", to: keys.secretKey.bytes)
            try socket.set(ZMQ_CURVE_SERVERKEY, "ZMQ_CURVE_SERVERKEY", to: serverKey.bytes)
        }
    }
}

extension Duration {
    /// Milliseconds, rounded up, from 0 to what a C int holds; a negative option would mean no limit.
    var wholeMilliseconds: Int32 {
        let (seconds, attoseconds) = components
        guard self > .zero else { return 0 }
        guard seconds < Int64(Int32.max) / 1000 else { return .max }
        return Int32(clamping: seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }

    /// Seconds, rounded up, at least 1.
    fileprivate var wholeSeconds: Int32 {
        max(1, wholeMilliseconds / 1000 + (wholeMilliseconds % 1000 > 0 ? 1 : 0))
    }
}
