public import WireProtocol
public import ZeroMQ

/// The coordinator's side: one router that all workers and clients talk to.
public final class CoordinatorEndpoint: Sendable {
    /// What came from a peer.
    public enum Arrival: Sendable {
        /// A message, and the bytes that belong to it.
        case message(WireMessage, payload: Frame?, from: RoutingIdentity)
        /// Something that is no message of this version; the peer was told so.
        case refused(RoutingIdentity, WireError)
    }

    private let channel: MessageChannel

    /// Where it listens, with the port that the kernel chose.
    public var endpoint: Endpoint { channel.endpoint }

    private init(channel: MessageChannel) {
        self.channel = channel
    }

    /// Listens at an endpoint.
    ///
    /// - Parameters:
    ///   - endpoint: Where; port 0 lets the kernel choose.
    ///   - context: The process's context.
    /// - Returns: An endpoint that listens.
    /// - Throws: ``MessagingError/unprotectedEndpoint(endpoint:)`` for an endpoint that other machines reach,
    ///   ``MessagingError/cannotOpen(endpoint:cause:)`` when it is taken or not permitted.
    public static func bind(_ endpoint: Endpoint, context: Context) async throws(MessagingError) -> CoordinatorEndpoint
    {
        guard endpoint.isLocalOnly else { throw .unprotectedEndpoint(endpoint: endpoint.description) }
        var options = SocketOptions()
        // Many peers each hold little: credit bounds what is under way, this bounds what a dead peer leaves behind.
        options.sendHighWaterMark = 1024
        options.receiveHighWaterMark = 64
        // A peer that comes back under its name before the old connection is known to be dead takes it over.
        options.isRouterHandover = true
        options.isIPv6Enabled = endpoint.isIPv6
        var limits = ChannelLimits()
        limits.outboundMessages = 4096
        limits.framesPerMessage = 2
        limits.messageBytes = WireLimits.messageBytesMax + 2 * WireLimits.chunkBytes
        do {
            let channel = try await MessageChannel.bind(
                endpoint, context: context, options: options, limits: limits, name: "kfacd-router")
            return CoordinatorEndpoint(channel: channel)
        } catch {
            throw .cannotOpen(endpoint: endpoint.description, cause: error.description)
        }
    }

    /// Waits for the next arrival; `nil` once the endpoint is closed or the task cancelled.
    public func next() async -> Arrival? {
        guard let received = try? await channel.receive(), let peer = received.routingIdentity else { return nil }
        do {
            let (message, payload) = try received.decoded()
            return .message(message, payload: payload, from: peer)
        } catch {
            let refusal = PeerRefusal(message: error.description)
            await send(.refusal(refusal), to: peer)
            return .refused(peer, error)
        }
    }

    /// Queues a message to a peer; what cannot be delivered is dropped and shows as a peer that is not heard.
    public func send(_ message: WireMessage, payload: Frame? = nil, to peer: RoutingIdentity) async {
        guard let message = try? Message(message, payload: payload, to: peer) else { return }
        try? await channel.send(message)
    }

    /// What waits and what went over the socket.
    public var statistics: ChannelStatistics { channel.statistics }

    /// What happens to connections, for the log.
    public var events: MessageChannel.Events { channel.events }

    /// Sends what is queued and closes.
    public func close() async {
        await channel.close(flushingFor: .seconds(2))
    }
}
