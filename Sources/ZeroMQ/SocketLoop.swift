internal import CZeroMQ
internal import Glibc

/// The life of a channel's thread: send, receive, report, and sleep until one of them is possible.
///
/// Only ``sleep()`` waits, so a peer that does not read cannot hold up the others.
struct SocketLoop: ~Copyable {
    /// How many messages move in one direction before the other gets its turn.
    private static let turnLength = 64

    /// The most turns of receiving before a new connection is watched.
    private static let drainTurns = 64

    /// How often the bytes of connections are checked; what arrives in this time is the largest flood.
    private static let settlingInterval: Duration = .milliseconds(100)

    /// How often a router without connections looks whether peers wait for a descriptor.
    private static let idleInterval: Duration = .seconds(1)

    /// Why a turn of receiving ended.
    private enum ReceptionEnd {
        /// Others must get their turn.
        case longEnough
        /// libzmq has no whole message.
        case drained
    }

    /// How many events are read before others get their turn.
    private static let eventTurnLength = 1024

    /// How long a router waits for its port when it makes its socket anew, and how often it tries.
    private static let (rebindPause, rebindCount) = (timespec(tv_sec: 0, tv_nsec: 10_000_000), 1000)

    private var socket: Socket
    private var monitor: MonitorSocket
    private let context: Context
    private let options: SocketOptions
    private let pieces: FramePieces
    private let core: ChannelCore
    private var ended = EndedPeers()
    /// A dealer's connection.
    private var ownConnection: PeerConnection?
    private var reception: ReceptionGuard<PeerConnection>
    private var unheard: UnheardConnections<DescriptorWitness>
    /// Connections that delivered a message before libzmq reported that they were accepted, by descriptor.
    private var heardEarly: [Int32: PeerConnection] = [:]
    private let room: ConnectionRoom
    /// The descriptor where a router's peers arrive; `nil` until libzmq has reported it.
    private var listener: Int32?
    private var reserve = DescriptorReserve()
    private var receptionSettled = ContinuousClock.now
    // A dealer's queue is full, so the thread sleeps until libzmq has room.
    private var isSendBlocked = false

    /// The endpoint where the socket listens, with the port that the kernel chose, or to which it connects.
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
        self.context = context
        self.options = options
        pieces = FramePieces(byteCount: options.maximumFrameBytes)
        room = ConnectionRoom(limits: core.limits)
        unheard = Self.unheardConnections(core.limits, room, options)
        reception = Self.receptionGuard(core.limits)
    }

    private static func receptionGuard(_ limits: ChannelLimits) -> ReceptionGuard<PeerConnection> {
        ReceptionGuard(
            unfinishedBytesMax: limits.unfinishedBytesPerConnection,
            connectionBytesMax: limits.undeliveredBytesPerConnection, bytesMax: limits.undeliveredBytes)
    }

    private static func unheardConnections(
        _ limits: ChannelLimits, _ room: ConnectionRoom, _ options: SocketOptions
    ) -> UnheardConnections<DescriptorWitness> {
        UnheardConnections(
            bounds: .init(
                count: room.unheard, handshakeBytes: UInt64(max(limits.handshakeBytes, 0)),
                silence: limits.firstMessageTime, needsKeys: options.hasAuthenticator))
    }

    /// Runs until the channel is closed; the sockets are closed on return.
    consuming func run() {
        do throws(ZeroMQError) {
            while true {
                let hasMoreToSend = try sendTurn()
                // Events come before messages, so that a connection is known when it delivers.
                try reportEvents()
                let end = try receiveTurn()
                try settleReception(isDrained: end == .drained)
                if isFinished { break }
                if !hasMoreToSend, end != .longEnough { try sleep() }
            }
        } catch {
            core.events.append(.failed(error))
        }
        socket.stopMonitor()
        // The last events of the I/O threads are still worth reading. An error no longer matters here.
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

    /// Hands queued messages to libzmq; returns true when more could be sent at once.
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
        let frames = pieces.split(message.frames)
        for (index, frame) in frames.enumerated() {
            let frame = frame.isShared ? identity.map { core.held.counting(frame, for: $0) } ?? frame : frame
            let outcome = try socket.send(frame, hasMore: index + 1 < frames.count)
            guard outcome != .sent else { continue }
            // When a connection breaks in the middle of a message, libzmq takes back the earlier frames and swallows
            // the others up to the last. Then the message can be sent again (lb.cpp, sendpipe).
            for (laterIndex, later) in frames.enumerated() where index > 0 && laterIndex > index {
                _ = try socket.send(later, hasMore: laterIndex + 1 < frames.count)
            }
            return outcome
        }
        return .sent
    }

    // MARK: - Receiving

    /// Takes messages, whether the consumer has room or not: libzmq must never hold a peer's messages back.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; messages taken before are delivered.
    private mutating func receiveTurn() throws(ZeroMQError) -> ReceptionEnd {
        for _ in 0..<Self.turnLength {
            guard let first = try socket.receive() else { return .drained }
            try receiveMessage(beginningWith: first)
        }
        return .longEnough
    }

    private mutating func receiveMessage(beginningWith first: ReceivedFrame) throws(ZeroMQError) {
        var assembly = MessageAssembly(
            limits: core.limits,
            isIdentityFirst: core.role == .router,
            hasAuthenticator: options.hasAuthenticator,
            pieceBytes: options.maximumFrameBytes
        )
        var frame = first
        var connection = connection(of: first)
        assembly.append(frame)
        while frame.hasMore {
            // libzmq delivers a message whole, so the next frame is there.
            guard let next = try socket.receive() else { break }
            frame = next
            if connection == nil { connection = self.connection(of: frame) }
            assembly.append(frame)
        }
        noteEarly(frame.descriptor)
        if isWatching {
            let descriptor = frame.descriptor
            reception.deliver(assembly.byteCount, descriptor: descriptor)
            unheard.deliver(descriptor: descriptor)
        }
        core.countReceived(byteCount: assembly.byteCount, from: assembly.routingIdentity)
        switch assembly.finish() {
        case .success(var message):
            message.connection = connection
            admit(message)
        case .failure(let problem):
            connection?.hangUp()
            core.events.append(.malformed(assembly.routingIdentity, problem.reason))
        }
    }

    /// Remembers a connection that delivered a message before libzmq reported that it was accepted.
    private mutating func noteEarly(_ descriptor: Int32) {
        guard core.role == .router, reception.connection(at: descriptor) == nil else { return }
        if let connection = PeerConnection(descriptor: descriptor) { heardEarly[descriptor] = connection }
    }

    /// The connection by which a frame came, if it still stands.
    private func connection(of frame: ReceivedFrame) -> PeerConnection? {
        switch core.role {
        case .router: reception.isEmpty ? nil : reception.connection(at: frame.descriptor)
        case .dealer: ownConnection
        }
    }

    /// Keeps a message for the consumer, unless its peer, or all peers together, would exceed a bound.
    private mutating func admit(_ message: Message) {
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
        for _ in 0..<Self.eventTurnLength {
            guard let (event, value) = try monitor.next() else { return }
            core.events.append(event)
            switch event {
            case .listening: listener = value
            case .accepted: try takeIn(descriptor: value)
            case .connected: ownConnection = PeerConnection(descriptor: value)
            case .disconnected, .closed:
                heardEarly[value] = nil
                reception.end(descriptor: value)
                unheard.end(descriptor: value)
            default: break
            }
            core.setConnections(all: reception.count, unheard: unheard.count)
        }
    }

    /// Begins to watch an accepted connection.
    private mutating func takeIn(descriptor: Int32) throws(ZeroMQError) {
        // The connection may have ended, and the number may belong to another file of this process.
        guard let connection = PeerConnection(descriptor: descriptor), connection.isMade(to: endpoint) else {
            if heardEarly.removeValue(forKey: descriptor) == nil {
                core.countUnheard(from: "an address that was gone at once", .failed)
            }
            return
        }
        // The number may have belonged to a connection that ended. That connection's messages are taken first.
        try drain()
        reception.begin(connection, descriptor: descriptor, receivedBytes: connection.receivedBytes ?? 0)
        // The connection's message may have come before the report that it was accepted.
        guard heardEarly.removeValue(forKey: descriptor) != connection else { return }
        guard let witness = DescriptorWitness(of: connection) else {
            reception.end(descriptor: descriptor)
            guard PeerConnection(descriptor: descriptor) == connection else {
                core.countUnheard(from: connection.host, .failed)
                return
            }
            // No descriptor is left for this connection, so none is left for anything else either.
            connection.hangUp()
            core.countUnheard(from: connection.host, .exhausted)
            return
        }
        if let end = unheard.begin(witness, descriptor: descriptor, at: .now) {
            core.countUnheard(from: end.host, end.1)
        }
        if reception.count > room.all { unheard.makeRoom() }
    }

    /// Takes all that libzmq has; when peers send without end, it takes a bounded part.
    private mutating func drain() throws(ZeroMQError) {
        for _ in 0..<Self.drainTurns {
            guard case .longEnough = try receiveTurn() else { return }
        }
    }

    /// Ends connections that make libzmq hold too much, or that send nothing.
    private mutating func settleReception(isDrained: Bool) throws(ZeroMQError) {
        guard isWatching || listener != nil else { return }
        let now = ContinuousClock.now
        guard now - receptionSettled >= Self.settlingInterval else { return }
        receptionSettled = now
        if let listener, reserve.settle(listener: listener) {
            core.countUnheard(from: "addresses that still wait", .exhausted)
        }
        guard isWatching else { return }
        for (connection, byteCount) in reception.settle(isDrained: isDrained, receivedBytes: \.receivedBytes) {
            connection.hangUp()
            core.events.append(.flooded(host: connection.host, byteCount: byteCount))
        }
        for (host, end) in unheard.settle(at: now, isDrained: isDrained) { core.countUnheard(from: host, end) }
        core.setConnections(all: reception.count, unheard: unheard.count)
        if unheard.leftBytes > UInt64(max(core.limits.undeliverableBytes, 0)) { try renewSocket() }
    }

    /// Whether connections are watched; only a router watches any.
    private var isWatching: Bool { !reception.isEmpty || !unheard.isEmpty }

    /// Makes the router's socket anew.
    ///
    /// Nothing else makes libzmq release what connections left that claimed taken names.
    ///
    /// All peers connect again, as after a break of the network.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; the channel cannot go on.
    private mutating func renewSocket() throws(ZeroMQError) {
        core.events.append(.renewed(byteCount: unheard.leftBytes))
        core.countRenewal()
        socket.stopMonitor()
        socket = try Socket(.router, in: context)
        try options.apply(to: socket, role: .router, endpoint: endpoint)
        monitor = try MonitorSocket(watching: socket, in: context)
        (ended, reception, heardEarly) = (EndedPeers(), Self.receptionGuard(core.limits), [:])
        listener = nil
        unheard = Self.unheardConnections(core.limits, room, options)
        for attempt in 1...Self.rebindCount {
            do throws(ZeroMQError) {
                return try socket.bind(to: endpoint.description)
            } catch {
                // libzmq closes the old socket's port in the background.
                guard case .callFailed(_, EADDRINUSE) = error, attempt < Self.rebindCount else { throw error }
            }
            var pause = Self.rebindPause
            unsafe nanosleep(&pause, nil)
        }
    }

    // MARK: - Sleeping

    /// Waits until there is something to send, receive or report, or until it is time to close.
    ///
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)``; the channel cannot go on.
    private func sleep() throws(ZeroMQError) {
        core.wakeSignal.willSleep()
        defer { core.wakeSignal.didSleep() }
        // The thread has announced its sleep and now looks a last time. Later work will wake it.
        guard let milliseconds = sleepMilliseconds else { return }
        let events = ZMQ_POLLIN | (isSendBlocked ? ZMQ_POLLOUT : 0)
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

    /// The time to sleep: −1 until woken, nil when there is work.
    private var sleepMilliseconds: Int? {
        guard let milliseconds = sendSleepMilliseconds, isWatching || listener != nil else {
            return sendSleepMilliseconds
        }
        let settling = Int((isWatching ? Self.settlingInterval : Self.idleInterval).wholeMilliseconds)
        return milliseconds < 0 ? settling : min(milliseconds, settling)
    }

    /// The time to sleep as far as sending and closing are concerned.
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
