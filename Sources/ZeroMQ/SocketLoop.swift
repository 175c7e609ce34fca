internal import CZeroMQ
internal import Glibc

/// The life of a channel's thread: send, receive, report, sleep until one of them is possible.
///
/// Nothing here waits except ``sleep()``, so one peer that does not read cannot hold up the others.
struct SocketLoop: ~Copyable {
    /// How many messages move in one direction before the other gets its turn.
    private static let turnLength = 64

    /// How many turns of receiving go before a new connection at most.
    private static let drainTurns = 64

    /// How often connections are asked for what they sent: a flood is as large as what comes in this time.
    private static let settlingInterval: Duration = .milliseconds(100)

    /// Why a turn of receiving ended.
    private enum ReceptionEnd {
        /// Others have to get their turn.
        case longEnough
        /// libzmq has no whole message.
        case drained
        /// The consumer is behind, and libzmq's queue is bounded.
        case paused
    }

    private let socket: Socket
    private let monitor: MonitorSocket
    private let core: ChannelCore
    private let hasAuthenticator: Bool
    /// Whether libzmq stops reading from a peer whose messages are not taken.
    private let isReceptionBounded: Bool
    private var ended = EndedPeers()
    /// A dealer's connection.
    private var ownConnection: TCPConnection?
    private var reception: ReceptionGuard<TCPConnection>
    private var silent: SilentConnections
    private var receptionSettled = ContinuousClock.now
    // A dealer's queue is full: sleep until libzmq says it is not.
    private var isSendBlocked = false

    /// Where the socket listens or connects to, with the port the kernel chose.
    let endpoint: Endpoint

    /// Makes the socket on the calling thread, which must be the one that runs the loop.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; the socket is closed again.
    init(core: ChannelCore, endpoint: Endpoint, context: Context, options: SocketOptions) throws(ZeroMQError) {
        let socket = try Socket(core.role == .router ? .router : .dealer, in: context)
        try options.apply(to: socket, role: core.role, endpoint: endpoint)
        let monitor = try MonitorSocket(watching: socket, in: context)
        switch core.role {
        case .router:
            try socket.bind(to: endpoint.description)
            self.endpoint = try Endpoint(try socket.lastEndpoint())
        case .dealer:
            try socket.connect(to: endpoint.description)
            self.endpoint = endpoint
        }
        self.socket = socket
        self.monitor = monitor
        self.core = core
        hasAuthenticator = options.hasAuthenticator
        isReceptionBounded = options.receiveHighWaterMark != nil
        silent = SilentConnections(bytesPerHostMax: core.limits.undeliverableBytesPerHost)
        reception = ReceptionGuard(
            unfinishedBytesMax: core.limits.unfinishedBytesPerConnection,
            connectionBytesMax: core.limits.undeliveredBytesPerConnection, bytesMax: core.limits.undeliveredBytes)
    }

    /// Runs until the channel is closed; the sockets are closed on return.
    consuming func run() {
        do throws(ZeroMQError) {
            while true {
                let hasMoreToSend = try sendTurn()
                // Before their messages, so that a connection is known when it delivers.
                try reportEvents()
                let end = try receiveTurn()
                settleReception(isDrained: end == .drained)
                if isFinished { break }
                if !hasMoreToSend, end != .longEnough { try sleep() }
            }
        } catch {
            core.events.append(.failed(error))
        }
        socket.stopMonitor()
        // What the I/O threads published last is still worth reading; an error here has no consequence any more.
        try? reportEvents()
    }

    private var isFinished: Bool {
        switch core.phase {
        case .running: false
        case .closing(let deadline): core.outbound.first == nil || ContinuousClock.now >= deadline
        case .finished: true
        }
    }

    // MARK: - Sending

    /// Hands queued messages to libzmq; true when it stopped before it had to.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; the message in hand stays queued.
    private mutating func sendTurn() throws(ZeroMQError) -> Bool {
        isSendBlocked = false
        for _ in 0..<Self.turnLength {
            guard let message = core.outbound.first else { return false }
            switch (try send(message), message.routingIdentity) {
            case (.sent, let identity):
                core.countSent(byteCount: message.byteCount, to: identity)
            case (.wouldBlock, let identity?):
                core.countDropped()
                core.events.append(.peerBlocked(identity, dropped: 1))
            case (.unreachable, let identity?):
                core.countDropped()
                core.events.append(.peerUnreachable(identity, dropped: 1))
            case (.wouldBlock, nil), (.unreachable, nil):
                isSendBlocked = true
                return false
            }
            core.outbound.removeFirst()
        }
        return true
    }

    /// Hands over a whole message or nothing of it.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; part of the message may be handed over.
    private func send(_ message: Message) throws(ZeroMQError) -> Socket.SendOutcome {
        let identity = message.routingIdentity
        if let identity {
            let sharedBytes = message.frames.reduce(0) { $0 + ($1.isShared ? $1.byteCount : 0) }
            guard core.held.hasRoom(for: sharedBytes, of: identity) else { return .wouldBlock }
            let outcome = try socket.send(Frame(identity.bytes), hasMore: true)
            guard outcome == .sent else { return outcome }
        }
        for (index, frame) in message.frames.enumerated() {
            let frame = frame.isShared ? identity.map { core.held.counting(frame, for: $0) } ?? frame : frame
            let outcome = try socket.send(frame, hasMore: index + 1 < message.frames.count)
            guard outcome != .sent else { continue }
            // A connection that breaks in the middle of a message makes libzmq take back the frames before and swallow
            // the rest up to the last; after that the message can be sent anew (lb.cpp, sendpipe).
            for (laterIndex, later) in message.frames.enumerated() where index > 0 && laterIndex > index {
                _ = try socket.send(later, hasMore: laterIndex + 1 < message.frames.count)
            }
            return outcome
        }
        return .sent
    }

    // MARK: - Receiving

    /// Takes messages, where libzmq's queue is bounded while the consumer has room.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; messages taken before are delivered.
    private mutating func receiveTurn() throws(ZeroMQError) -> ReceptionEnd {
        for _ in 0..<Self.turnLength {
            if isReceptionBounded, core.inbound.withBuffer({ $0.pauseIfFull() }) { return .paused }
            guard let first = try socket.receive() else { return .drained }
            try receiveMessage(beginningWith: first)
        }
        return .longEnough
    }

    private mutating func receiveMessage(beginningWith first: ReceivedFrame) throws(ZeroMQError) {
        var assembly = MessageAssembly(
            limits: core.limits,
            isIdentityFirst: core.role == .router,
            hasAuthenticator: hasAuthenticator
        )
        var frame = first
        var connection = connection(of: first)
        frame.connection = connection
        assembly.append(frame)
        while frame.hasMore {
            // libzmq delivers a message whole, so the next frame is there.
            guard let next = try socket.receive() else { break }
            frame = next
            if connection == nil { connection = self.connection(of: frame) }
            frame.connection = connection
            assembly.append(frame)
        }
        if isWatching {
            let descriptor = frame.descriptor
            reception.deliver(assembly.byteCount, descriptor: descriptor)
            silent.deliver(descriptor: descriptor)
        }
        core.countReceived(byteCount: assembly.byteCount, from: assembly.routingIdentity)
        switch assembly.finish() {
        case .success(let message): admit(message)
        case .failure(let problem):
            connection?.hangUp()
            core.events.append(.malformed(assembly.routingIdentity, problem.reason))
        }
    }

    /// The TCP connection that a frame came by, if it still stands.
    private func connection(of frame: ReceivedFrame) -> TCPConnection? {
        switch core.role {
        case .router: reception.isEmpty ? nil : reception.connection(at: frame.descriptor)
        case .dealer: ownConnection
        }
    }

    /// Keeps a message for the consumer, unless that takes more than its peer, or all of them, may.
    private mutating func admit(_ message: Message) {
        guard !isReceptionBounded else {
            core.inbound.append(message)
            return
        }
        guard !ended.contains(message.routingIdentity, message.connection) else {
            message.hangUp()
            return
        }
        let (isAdmitted, overruns) = core.inbound.withBuffer { $0.makeRoom(for: message) }
        for overrun in overruns {
            overrun.message.hangUp()
            ended.insert(overrun.message.routingIdentity, overrun.message.connection)
            let host = overrun.message.connection?.host ?? "?"
            core.events.append(.flooded(host: host, byteCount: UInt64(overrun.byteCount)))
        }
        if isAdmitted { core.inbound.append(message) }
    }

    private mutating func reportEvents() throws(ZeroMQError) {
        while let (event, value) = try monitor.next() {
            core.events.append(event)
            switch event {
            case .accepted:
                guard let connection = TCPConnection(descriptor: value) else { break }
                // The number may have been that of a connection that ended: what it left is not this one's.
                try drain()
                guard !silent.isBanned(connection.host, at: .now) else {
                    connection.hangUp()
                    break
                }
                silent.begin(connection, at: .now)
                reception.begin(connection, descriptor: value, receivedBytes: connection.receivedBytes ?? 0)
            case .connected: ownConnection = TCPConnection(descriptor: value)
            case .disconnected, .closed:
                reception.end(descriptor: value)
                silent.end(descriptor: value)
            default: break
            }
        }
    }

    /// Takes all that libzmq has, or, from peers that never end, a good deal of it.
    private mutating func drain() throws(ZeroMQError) {
        for _ in 0..<Self.drainTurns {
            guard case .longEnough = try receiveTurn() else { return }
        }
    }

    /// Ends connections that make libzmq hold too much.
    private mutating func settleReception(isDrained: Bool) {
        guard isWatching else { return }
        let now = ContinuousClock.now
        guard now - receptionSettled >= Self.settlingInterval else { return }
        receptionSettled = now
        for (connection, byteCount) in reception.settle(isDrained: isDrained, receivedBytes: \.receivedBytes) {
            connection.hangUp()
            core.events.append(.flooded(host: connection.host, byteCount: byteCount))
        }
        guard isDrained else { return }
        for (host, byteCount) in silent.settle(at: now) {
            core.events.append(.flooded(host: host, byteCount: byteCount))
        }
    }

    /// Whether connections are looked after: a router has some.
    private var isWatching: Bool { !reception.isEmpty || !silent.isEmpty }

    // MARK: - Sleeping

    /// Waits until there is something to send, receive or report, or the time to close has come.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; the channel cannot go on.
    private func sleep() throws(ZeroMQError) {
        core.wakeSignal.willSleep()
        defer { core.wakeSignal.didSleep() }
        // Only now, announced as asleep, look a last time: what comes later will wake us.
        guard let milliseconds = sleepMilliseconds else { return }
        let canReceive = !isReceptionBounded || !core.inbound.withBuffer { $0.pauseIfFull() }
        let events = (canReceive ? ZMQ_POLLIN : 0) | (isSendBlocked ? ZMQ_POLLOUT : 0)
        var items = unsafe [
            socket.pollItem(events: events),
            monitor.pollItem(),
            zmq_pollitem_t(
                socket: nil,
                fd: core.wakeSignal.descriptor,
                events: Int16(truncatingIfNeeded: ZMQ_POLLIN),
                revents: 0
            ),
        ]
        guard unsafe zmq_poll(&items, Int32(items.count), milliseconds) >= 0 || zmq_errno() == EINTR else {
            throw .lastCallFailed("zmq_poll()")
        }
    }

    /// How long to sleep, −1 for until woken, or nil when there is work.
    private var sleepMilliseconds: Int? {
        guard let milliseconds = sendSleepMilliseconds, isWatching else { return sendSleepMilliseconds }
        let settling = Int(Self.settlingInterval.wholeMilliseconds)
        return milliseconds < 0 ? settling : min(milliseconds, settling)
    }

    /// The same, as far as sending and closing go.
    private var sendSleepMilliseconds: Int? {
        let hasQueued = core.outbound.first != nil
        if hasQueued, !isSendBlocked { return nil }
        switch core.phase {
        case .running: return -1
        case .finished: return nil
        case .closing(let deadline):
            return hasQueued ? Int((deadline - ContinuousClock.now).wholeMilliseconds) : nil
        }
    }
}
