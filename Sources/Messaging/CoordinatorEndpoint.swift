public import Keys
import Synchronization
public import WireProtocol
public import ZeroMQ

/// The coordinator's side: one router for all workers and clients.
///
/// ``limits`` bounds what peers can make the coordinator hold, for each peer and for all together:
/// - Bytes that they sent and nobody has read, unfinished messages included. A peer above the bound loses its
///   connection.
/// - Bytes that were sent to them and that they do not take. More bytes are dropped; a peer that takes nothing for half
///   a minute loses its connection.
///
/// Bytes that are not a message are refused. A peer that keeps sending them loses its connection.
///
/// A peer is a connection. The router gives each connection a name of its own. So nothing that is sent to a worker can
/// reach another peer that claims the worker's name. The greeting says which worker a connection belongs to.
public final class CoordinatorEndpoint: Sendable {
    /// Something that arrived from a peer.
    public enum Arrival: Sendable {
        /// A message and the bytes that belong to it.
        case message(WireMessage, payload: Frame?, from: RoutingIdentity)
        /// Something that was refused; the peer was told.
        case refused(RoutingIdentity, Refusal)
    }

    /// Why something was refused.
    public struct Refusal: Equatable, Sendable, CustomStringConvertible {
        /// The sentence that was sent to the peer.
        public let description: String
        /// Whether the log should have it: at most once a minute for each peer.
        public let isNews: Bool
    }

    private let channel: MessageChannel
    private let authenticator: CurveAuthenticator?
    private let access: PeerAccess?
    private let names: PeerNames
    private let onFlood: @Sendable (String, UInt64) -> Void
    private let onUnsendable: @Sendable (String, WireError) -> Void
    /// Messages that were too large to be sent.
    private let unsendable = Mutex<UInt64>(0)
    private let onRenewal: @Sendable (UInt64) -> Void
    private let unheard: UnheardNews
    /// Peers whose connection has ended, so that a message could not be delivered.
    public let unreachablePeers: AsyncStream<RoutingIdentity>
    private let unreachableSink: AsyncStream<RoutingIdentity>.Continuation
    private let conduct = Mutex(PeerConduct())
    private let refusals = Mutex(NewsFilter())
    private let floods = Mutex(NewsFilter())

    /// The endpoint where it listens, with the port that the kernel chose.
    public var endpoint: Endpoint { channel.endpoint }

    /// The limits for one peer and for all peers.
    ///
    /// A peer that keeps to the protocol stays below the bounds of a peer, even when nobody reads for long: transfers
    /// have credit, a client waits for its answers, and a worker sends one or two heartbeats a second.
    public static let limits: ChannelLimits = {
        var limits = ChannelLimits()
        limits.outboundMessages = 4096
        limits.framesPerMessage = 2
        limits.messageBytes = WireLimits.messageBytesMax + 2 * WireLimits.chunkBytes
        limits.receivedMessageBytes = WireLimits.requestBytesMax + 2 * WireLimits.chunkBytes
        limits.unfinishedBytesPerConnection = 2 * WireLimits.requestBytesMax
        return limits
    }()

    /// The options of the socket, without keys.
    static let options: SocketOptions = {
        var options = SocketOptions()
        // Each of many peers holds little: credit bounds the transfers, and this limit bounds what a dead peer leaves
        // behind.
        options.sendHighWaterMark = 1024
        return options
    }()

    private init(
        channel: MessageChannel, authenticator: CurveAuthenticator?, access: PeerAccess?, names: PeerNames,
        onFlood: @escaping @Sendable (String, UInt64) -> Void,
        onUnsendable: @escaping @Sendable (String, WireError) -> Void, onRenewal: @escaping @Sendable (UInt64) -> Void,
        unheard: UnheardNews
    ) {
        (self.onFlood, self.onRenewal, self.unheard) = (onFlood, onRenewal, unheard)
        self.onUnsendable = onUnsendable
        (unreachablePeers, unreachableSink) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(4096))
        self.channel = channel
        self.authenticator = authenticator
        self.access = access
        self.names = names
    }

    /// Listens at an endpoint.
    ///
    /// - Parameters:
    ///   - endpoint: The endpoint; port 0 lets the kernel choose.
    ///   - context: The process's context.
    ///   - keys: The coordinator's key pair and the authorized keys; needed when other machines reach the endpoint.
    ///   - claimPeriod: How long a worker keeps its name after its last message.
    ///   - limits: The limits for peers.
    ///   - probesSilence: Whether a connection ends whose peer reads nothing for 15 seconds.
    ///   - onUnknownKey: Receives a refused key, at most once a minute.
    ///   - onFlood: Receives a host whose connection ended because it sent more bytes than the limits allow, at most
    ///     once a minute.
    ///   - onUnsendable: Receives each message that was too large to send, and its peer.
    ///   - onUnheard: Receives the connections that ended before they delivered a message. With keys, they also ended
    ///     before a key was proved. Called at most once a minute, with all since the last call.
    ///   - onRenewal: Receives the bytes left by connections that claimed taken names, when all connections ended
    ///     because of them.
    /// - Returns: An endpoint that listens. Nobody with keys gets in until ``guardConnections()`` runs.
    /// - Throws: ``MessagingError/unprotectedEndpoint(endpoint:)`` for an endpoint without keys that other machines
    ///   reach, ``MessagingError/cannotOpen(endpoint:cause:)`` when it is taken or not permitted.
    public static func bind(
        _ endpoint: Endpoint, context: Context, keys: CoordinatorKeys? = nil, claimPeriod: Duration = .seconds(10),
        limits: ChannelLimits = limits, probesSilence: Bool = true,
        onUnknownKey: @escaping @Sendable (CurvePublicKey) -> Void = { _ in },
        onFlood: @escaping @Sendable (String, UInt64) -> Void = { _, _ in },
        onUnsendable: @escaping @Sendable (String, WireError) -> Void = { _, _ in },
        onUnheard: @escaping @Sendable (UnheardConnectionsReport) -> Void = { _ in },
        onRenewal: @escaping @Sendable (UInt64) -> Void = { _ in }
    ) async throws(MessagingError) -> CoordinatorEndpoint {
        guard endpoint.isLocalOnly || keys != nil else {
            throw .unprotectedEndpoint(endpoint: endpoint.description)
        }
        if let obstacle = endpoint.bindingObstacle {
            throw .cannotOpen(endpoint: endpoint.description, cause: obstacle)
        }
        var options = options
        options.isIPv6Enabled = endpoint.isIPv6
        if !probesSilence { options.heartbeatInterval = nil }
        let names = PeerNames()
        do {
            var authenticator: CurveAuthenticator?
            if let keys {
                let news = UnknownKeyNews(tell: onUnknownKey)
                authenticator = try await options.protect(with: keys, context: context) { news.note($0) }
            }
            let channel = try await MessageChannel.bind(
                endpoint, context: context, options: options, limits: limits, name: "kfacd-router"
            ) { names.countedName(of: $0) }
            return CoordinatorEndpoint(
                channel: channel, authenticator: authenticator,
                access: keys.map { PeerAccess(keys: $0.authorized, claimPeriod: claimPeriod) }, names: names,
                onFlood: onFlood, onUnsendable: onUnsendable, onRenewal: onRenewal,
                unheard: UnheardNews(tell: onUnheard))
        } catch {
            throw .cannotOpen(endpoint: endpoint.description, cause: endpoint.bindingFailure(error))
        }
    }

    /// Accepts authorized keys and notes messages that break the socket's limits, until cancelled.
    ///
    /// - Throws: ``MessagingError/cannotOpen(endpoint:cause:)`` when no more peers can be accepted.
    public func guardConnections() async throws(MessagingError) {
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                if let authenticator { group.addTask { try await authenticator.run() } }
                group.addTask { await self.watchLimits() }
                group.addTask { await self.watchUnheard() }
                try await group.waitForAll()
            }
        } catch {
            throw .cannotOpen(endpoint: endpoint.description, cause: "\(error)")
        }
    }

    private func watchLimits() async {
        for await event in channel.events {
            switch event {
            case .peerUnreachable(let peer, _): unreachableSink.yield(peer)
            case .malformed(let peer?, _): conduct.withLock { $0.strike(peer, at: .now) }
            case .flooded(let host, let byteCount):
                guard floods.withLock({ $0.isNews(host, at: .now) }) else { break }
                onFlood(host, byteCount)
            case .renewed(let byteCount): onRenewal(byteCount)
            default: break
            }
        }
        // The endpoint is closed. Other tasks still read what it received, and they decide when everything ends.
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
    }

    private func watchUnheard() async {
        while !Task.isCancelled {
            unheard.note(channel.takeUnheardConnections(), at: .now)
            try? await Task.sleep(for: .seconds(1))
        }
    }

    /// Connections that ended in the last minute before they delivered a message.
    public var recentUnheardConnections: Int { unheard.recentCount(at: .now) }

    // MARK: - Messages

    /// Waits for the next arrival; `nil` once the endpoint is closed or the task cancelled.
    public func next() async -> Arrival? {
        while let received = try? await channel.receive(), let peer = received.routingIdentity {
            guard !conduct.withLock({ $0.isIgnored(peer, at: .now) }) else {
                received.hangUp()
                continue
            }
            do throws(WireError) {
                let (message, payload) = try received.decoded()
                if let byteCount = payload?.byteCount, byteCount > WireLimits.chunkBytes {
                    throw .tooLarge(byteCount: byteCount, byteCountMax: WireLimits.chunkBytes)
                }
                if let objection = access?.objection(to: message, from: peer, user: received.authenticatedUser) {
                    return await refuse(message, of: peer, objection)
                }
                if case .worker(.hello(let hello)) = message { names.note(hello.worker, at: peer) }
                return .message(message, payload: payload, from: peer)
            } catch {
                conduct.withLock { $0.strike(peer, at: .now) }
                await send(.refusal(PeerRefusal(message: error.description)), to: peer)
                return .refused(peer, refusal(of: peer, error.description))
            }
        }
        return nil
    }

    /// Tells a peer that its message is not allowed.
    ///
    /// A question gets an answer; any other message ends the conversation.
    private func refuse(
        _ message: WireMessage, of peer: RoutingIdentity, _ objection: (at: String, what: String)
    ) async -> Arrival {
        let problem = RequestFailure(kind: .notPermitted, at: objection.at, objection.what)
        if case .request(let number, _) = message {
            await send(.reply(number, .failure(problem)), to: peer)
        } else {
            await send(.refusal(PeerRefusal(message: problem.description)), to: peer)
        }
        return .refused(peer, refusal(of: peer, problem.description))
    }

    private func refusal(of peer: RoutingIdentity, _ sentence: String) -> Refusal {
        Refusal(
            description: sentence,
            isNews: refusals.withLock { $0.isNews("\(peer)", at: .now) })
    }

    /// Tells a peer why its messages are no longer accepted; its next message costs it the connection.
    public func end(_ peer: RoutingIdentity, because sentence: String) async {
        await send(.refusal(PeerRefusal(message: sentence)), to: peer)
        conduct.withLock { $0.ban(peer, at: .now) }
    }

    /// Whether the conversation with a peer was ended, so that its messages are ignored.
    public func isEnded(_ peer: RoutingIdentity) -> Bool { conduct.withLock { $0.isIgnored(peer, at: .now) } }

    /// The owner of a peer: its key, or the connection when there are no keys.
    public func holder(of peer: RoutingIdentity) -> String { access?.holder(of: peer) ?? "\(peer)" }

    /// The name of a peer's key; nil when there are no keys.
    public func keyName(of peer: RoutingIdentity) -> String? { access?.holderName(of: peer) }

    /// The peer's name in the log.
    public func name(of peer: RoutingIdentity) -> String { names.name(of: peer) }

    /// Queues a message to a peer; a message that cannot be delivered is dropped, and the peer counts as not heard.
    ///
    /// A message that is too large goes to `onUnsendable` instead. If it is an answer, the peer gets an error.
    ///
    /// - Returns: False for a message that is too large.
    @discardableResult
    public func send(_ message: WireMessage, payload: Frame? = nil, to peer: RoutingIdentity) async -> Bool {
        do throws(WireError) {
            let frames = try Message(message, payload: payload, to: peer)
            try? await channel.send(frames)
            return true
        } catch {
            unsendable.withLock { $0 += 1 }
            onUnsendable(name(of: peer), error)
            if case .reply(let number, _) = message {
                let failure = RequestFailure(
                    kind: .world, at: "the coordinator", "the answer is too large: \(error) Ask for less.")
                if let frames = try? Message(.reply(number, .failure(failure)), to: peer) {
                    try? await channel.send(frames)
                }
            }
            return false
        }
    }

    /// The bounds above which no more is read from disk: bytes that wait for one peer, and for all peers.
    ///
    /// Above the second bound, only peers that have taken nearly all of their bytes get more. Messages are dropped only
    /// at higher limits.
    private static let (roomBytesPerPeer, roomBytes) = (64 << 20, 512 << 20)

    /// Whether a peer takes the bytes sent to it, so that more may follow.
    public func hasRoom(for peer: RoutingIdentity) -> Bool {
        let held = channel.heldBytes(for: peer)
        return held.peer <= (held.all <= Self.roomBytes ? Self.roomBytesPerPeer : WireLimits.chunkBytes)
    }

    /// Bytes for a client, and for all clients, above which no more are read for it; the workers' room is kept free.
    private static let (bytesPerClient, clientBytes) = (4 << 20, 128 << 20)

    /// Whether a client and the other clients take the bytes sent to them, so that more may follow.
    public func roomForClient(_ peer: RoutingIdentity) -> ClientRoom {
        if channel.heldBytes(for: peer).peer > Self.bytesPerClient { return .notTaken }
        return channel.heldBytes { !names.isWorker($0) } > Self.clientBytes ? .crowded : .free
    }

    /// Whether a client may be sent more bytes.
    public enum ClientRoom: Sendable {
        /// More bytes may be sent.
        case free
        /// The client does not take the bytes that were sent to it.
        case notTaken
        /// Too many bytes are on their way to other clients; that may soon change.
        case crowded
    }

    /// The messages that wait and the traffic of the socket.
    public var statistics: ChannelStatistics { channel.statistics }

    /// How many messages were too large to be sent.
    public var unsendableMessages: UInt64 { unsendable.withLock { $0 } }

    /// Sends the queued messages and closes.
    public func close() async {
        await channel.close(flushingFor: .seconds(2))
    }
}

/// Reports each unknown key once a minute.
private final class UnknownKeyNews: Sendable {
    private let filter = Mutex(NewsFilter())
    private let tell: @Sendable (CurvePublicKey) -> Void

    init(tell: @escaping @Sendable (CurvePublicKey) -> Void) {
        self.tell = tell
    }

    func note(_ key: CurvePublicKey) {
        guard filter.withLock({ $0.isNews(key.description, at: .now) }) else { return }
        tell(key)
    }
}
