internal import Synchronization

/// A socket of messages for asynchronous code.
///
/// One thread of its own makes, polls, uses and closes the socket, because a libzmq socket belongs to one thread.
/// Messages to be sent wait in a bounded queue, and received ones in another. When the consumer is slow and the second
/// queue is full, the peer that filled it loses its connection. ``events`` reports every loss.
///
/// Use ``close(flushingFor:)`` to end a channel. A channel that is merely released stops too, and drops its queue.
public final class MessageChannel: Sendable {
    /// The endpoint where the channel listens, with the port that the kernel chose, or to which it connects.
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
    ///   - context: the channel keeps it alive.
    ///   - options: options of the socket.
    ///   - limits: limits of the queues and of what peers may send.
    ///   - name: the thread's name, for debuggers, which show 15 bytes of it.
    ///   - peerName: the name under which a peer's bytes are counted. Without it only the sum is counted.
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
    /// The peer need not be there. The channel connects in the background, and ``events`` tells its progress.
    ///
    /// - Parameters:
    ///   - endpoint: where the router listens.
    ///   - context: the channel keeps it alive.
    ///   - options: options of the socket.
    ///   - limits: limits of the queues and of what the peer may send.
    ///   - name: the thread's name, for debuggers, which show 15 bytes of it.
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

    /// Queues a message; waits for room if the queue is full.
    ///
    /// After the return the message is queued, not delivered. Only an answer of the peer proves delivery.
    ///
    /// - Throws: ``ZeroMQError/closed`` when the channel closes before there is room, ``ZeroMQError/cancelled`` when
    ///   the task is cancelled, or what is wrong with the message. The message is then not sent.
    public func send(_ message: Message) async throws(ZeroMQError) {
        try core.check(message)
        try await core.outbound.append(message)
    }

    /// Queues a message if there is room and no other task waits for it; returns false otherwise.
    ///
    /// - Throws: ``ZeroMQError/closed`` or what is wrong with the message. The message is then not sent.
    public func trySend(_ message: Message) throws(ZeroMQError) -> Bool {
        try core.check(message)
        return try core.outbound.tryAppend(message)
    }

    // MARK: - Receiving

    /// The received messages; several tasks may iterate, and then share them.
    public var messages: Messages { Messages(channel: self) }

    /// The events of connections and messages; several tasks may iterate, and then share them.
    public var events: Events { Events(channel: self) }

    /// Waits for one message.
    ///
    /// - Throws: ``ZeroMQError/closed`` when the channel is closed and all is read, ``ZeroMQError/cancelled`` when the
    ///   task is cancelled; no message was taken.
    public func receive() async throws(ZeroMQError) -> Message {
        if let message = await core.inbound.next() { return message }
        throw Task.isCancelled ? .cancelled : .closed
    }

    /// Bytes that libzmq holds and has not handed to the kernel, for a peer of a router and for all peers.
    public func heldBytes(for peer: RoutingIdentity) -> (peer: Int, all: Int) { core.held.counts(of: peer) }

    /// Bytes that libzmq holds for some peers of a router and has not handed to the kernel.
    public func heldBytes(where isCounted: (RoutingIdentity) -> Bool) -> Int {
        core.held.byteCount(where: isCounted)
    }

    /// What the channel holds and has done.
    public var statistics: ChannelStatistics { core.statistics }

    /// Connections to a router that ended before they delivered a message, since the last call.
    public func takeUnheardConnections() -> UnheardConnectionsReport { core.takeRecentEnds() }

    // MARK: - Closing

    /// Hands the queued messages to libzmq, closes the socket and waits until the thread has ended.
    ///
    /// A message that was handed over may still be lost: libzmq sends for the linger time and then drops the rest. So a
    /// protocol that may lose nothing waits for acknowledgements before it closes. Consumers get the received messages
    /// and then end. A second call waits for the same end. Cancelling the task ends the flushing.
    ///
    /// - Parameter flushTime: the longest wait for room in libzmq's queue.
    /// - Returns: the number of queued messages that were dropped.
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
