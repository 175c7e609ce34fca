internal import Synchronization

/// A socket of messages for asynchronous code.
///
/// One thread of its own makes, polls, uses and closes the socket, since libzmq's sockets belong to one thread.
/// Messages to be sent wait in a bounded queue, received ones in another; when a consumer is so far behind that the
/// second is full, the peer that filled it loses its connection. What can be lost is reported on ``events``.
///
/// Use ``close(flushingFor:)`` to end a channel. One that is merely dropped stops too, without sending what is queued.
public final class MessageChannel: Sendable {
    /// Where the channel listens, with the port the kernel chose, or connects to.
    public let endpoint: Endpoint

    let core: ChannelCore
    private let thread: SocketThread

    private init(endpoint: Endpoint, core: ChannelCore, thread: SocketThread) {
        self.endpoint = endpoint
        self.core = core
        self.thread = thread
    }

    deinit {
        core.beginClosing(flushDeadline: .now)
    }

    /// Gives a router's peer the name under which its bytes are counted.
    ///
    /// Called on the channel's thread.
    public typealias PeerNaming = @Sendable (RoutingIdentity) -> String

    // MARK: - Opening

    /// Opens a router, which talks to many peers by their identities, and binds it.
    ///
    /// - Parameters:
    ///   - endpoint: where to listen; port 0 lets the kernel choose.
    ///   - context: kept alive by the channel.
    ///   - options: of the socket.
    ///   - limits: of the queues and of what peers may send.
    ///   - name: of the thread, for debuggers; 15 bytes of it are shown.
    ///   - peerName: the name under which a peer's bytes are counted; without it they are counted together only.
    /// - Returns: a channel that listens.
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)`` when the endpoint is taken, unknown or not permitted;
    ///   nothing is left open.
    public static func bind(
        _ endpoint: Endpoint,
        context: Context,
        options: SocketOptions = SocketOptions(),
        limits: ChannelLimits = ChannelLimits(),
        name: String = "zmq-router",
        peerName: PeerNaming? = nil
    ) async throws(ZeroMQError) -> MessageChannel {
        let core = try ChannelCore(role: .router, limits: limits, peerName: peerName)
        return try await open(core, endpoint, context: context, options: options, name: name)
    }

    /// Opens a dealer, which talks to one router, and starts to connect it.
    ///
    /// The peer need not be there: connecting goes on in the background, and ``events`` tells how it fares.
    ///
    /// - Parameters:
    ///   - endpoint: where the router listens.
    ///   - context: kept alive by the channel.
    ///   - options: of the socket.
    ///   - limits: of the queues and of what the peer may send.
    ///   - name: of the thread, for debuggers; 15 bytes of it are shown.
    /// - Returns: a channel that connects.
    /// - Throws: ``ZeroMQError/endpointNotConnectable(_:)`` for `*` and port 0,
    ///   ``ZeroMQError/callFailed(call:errorNumber:)`` when libzmq refuses; nothing is left open.
    public static func connect(
        _ endpoint: Endpoint,
        context: Context,
        options: SocketOptions = SocketOptions(),
        limits: ChannelLimits = ChannelLimits(),
        name: String = "zmq-dealer"
    ) async throws(ZeroMQError) -> MessageChannel {
        guard endpoint.isConnectable else { throw .endpointNotConnectable(endpoint.description) }
        let core = try ChannelCore(role: .dealer, limits: limits, peerName: nil)
        return try await open(core, endpoint, context: context, options: options, name: name)
    }

    private static func open(
        _ core: ChannelCore,
        _ endpoint: Endpoint,
        context: Context,
        options: SocketOptions,
        name: String
    ) async throws(ZeroMQError) -> MessageChannel {
        let startedThread = Mutex<SocketThread?>(nil)
        let opened: Result<Endpoint, ZeroMQError> = await withCheckedContinuation { continuation in
            do throws(ZeroMQError) {
                let thread = try SocketThread(name: name) {
                    live(core, endpoint, context, options) { continuation.resume(returning: $0) }
                }
                startedThread.withLock { $0 = thread }
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
        let actualEndpoint = try opened.get()
        guard let thread = startedThread.withLock({ $0 }) else { throw .closed }
        return MessageChannel(endpoint: actualEndpoint, core: core, thread: thread)
    }

    /// The whole life of the channel's thread.
    private static func live(
        _ core: ChannelCore,
        _ endpoint: Endpoint,
        _ context: Context,
        _ options: SocketOptions,
        opened: (Result<Endpoint, ZeroMQError>) -> Void
    ) {
        do throws(ZeroMQError) {
            let loop = try SocketLoop(core: core, endpoint: endpoint, context: context, options: options)
            opened(.success(loop.endpoint))
            loop.run()
        } catch {
            opened(.failure(error))
        }
        core.finish()
        // The authenticator outlives the socket: without a handler libzmq lets every key in.
        extendLifetime(options)
    }

    // MARK: - Sending

    /// Queues a message, after waiting for room if need be.
    ///
    /// On return the message is queued, not delivered: only an answer of the peer says that.
    ///
    /// - Throws: ``ZeroMQError/closed`` when the channel is closed before there was room, ``ZeroMQError/cancelled``
    ///   when the task is, or what is wrong with the message; it is then not sent.
    public func send(_ message: Message) async throws(ZeroMQError) {
        try core.check(message)
        try await core.outbound.append(message)
    }

    /// Queues a message if there is room at once and nobody waits for it; false if not.
    ///
    /// - Throws: ``ZeroMQError/closed`` or what is wrong with the message; it is then not sent.
    public func trySend(_ message: Message) throws(ZeroMQError) -> Bool {
        try core.check(message)
        return try core.outbound.tryAppend(message)
    }

    // MARK: - Receiving

    /// The received messages; several tasks may iterate and then share them.
    public var messages: Messages { Messages(channel: self) }

    /// What happens to connections and messages; several tasks may iterate and then share the events.
    public var events: Events { Events(channel: self) }

    /// Waits for one message.
    ///
    /// - Throws: ``ZeroMQError/closed`` when the channel is closed and all is read, ``ZeroMQError/cancelled`` when the
    ///   task is cancelled; no message was taken.
    public func receive() async throws(ZeroMQError) -> Message {
        if let message = await core.inbound.next() { return message }
        throw Task.isCancelled ? .cancelled : .closed
    }

    /// Bytes that libzmq holds for a peer of a router and has not handed to the kernel, and those for all peers.
    public func heldBytes(for peer: RoutingIdentity) -> (peer: Int, all: Int) { core.held.counts(of: peer) }

    /// Bytes that libzmq holds for some peers of a router and has not handed to the kernel.
    public func heldBytes(where isCounted: (RoutingIdentity) -> Bool) -> Int {
        core.held.byteCount(where: isCounted)
    }

    /// What the channel holds and has done.
    public var statistics: ChannelStatistics { core.statistics }

    /// Connections to a router that ended before a message came by them, since this was asked for last.
    public func takeUnheardConnections() -> UnheardConnectionsReport { core.takeRecentEnds() }

    // MARK: - Closing

    /// Hands what is queued to libzmq, closes the socket and waits for the end of the thread.
    ///
    /// Handed over is not delivered: libzmq goes on for the linger time and then drops the rest, so a protocol that may
    /// lose nothing acknowledges before it closes. Consumers get what was received and then end. A further call waits
    /// for the same end; cancelling the task ends the flushing.
    ///
    /// - Parameter flushTime: how long at most to wait for room in libzmq's queue.
    /// - Returns: how many queued messages were dropped.
    @discardableResult
    public func close(flushingFor flushTime: Duration = .seconds(5)) async -> Int {
        core.beginClosing(flushDeadline: .now + flushTime)
        let unsentMessages = await withTaskCancellationHandler {
            await core.finished()
        } onCancel: {
            core.beginClosing(flushDeadline: .now)
        }
        thread.join()
        return unsentMessages
    }
}
