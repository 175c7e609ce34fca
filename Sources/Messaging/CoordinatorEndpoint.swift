public import Keys
import Synchronization
public import WireProtocol
public import ZeroMQ

/// The coordinator's side: one router that all workers and clients talk to.
///
/// ``limits`` bounds what peers can make it hold, each peer and all together:
/// - What they sent and nobody has read, messages without end included. A peer beyond it loses its connection.
/// - What was sent to them and they do not take. More is dropped; a peer that takes nothing for half a minute loses its
///   connection.
///
/// Bytes that are no message are refused; a peer that goes on sending them loses its connection.
///
/// A peer is a connection: the router names each, and never two alike. So nothing that is sent to a worker can reach
/// somebody who claims its name; who a connection belongs to, its greeting says.
public final class CoordinatorEndpoint: Sendable {
    /// What came from a peer.
    public enum Arrival: Sendable {
        /// A message, and the bytes that belong to it.
        case message(WireMessage, payload: Frame?, from: RoutingIdentity)
        /// Something that is not taken in; the peer was told so.
        case refused(RoutingIdentity, Refusal)
    }

    /// Why something was not taken in.
    public struct Refusal: Equatable, Sendable, CustomStringConvertible {
        /// The sentence that the peer was told.
        public let description: String
        /// Whether the log should have it: each peer's is news once a minute.
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
    /// Peers to whom something could not be delivered, since their connection has ended.
    public let unreachablePeers: AsyncStream<RoutingIdentity>
    private let unreachableSink: AsyncStream<RoutingIdentity>.Continuation
    private let conduct = Mutex(PeerConduct())
    private let refusals = Mutex(NewsFilter())
    private let floods = Mutex(NewsFilter())

    /// Where it listens, with the port that the kernel chose.
    public var endpoint: Endpoint { channel.endpoint }

    /// What it takes from a peer, and holds for all of them.
    ///
    /// Who keeps to the protocol has less waiting than the bounds of a peer, however long nobody reads: transfers have
    /// credit, a client awaits its answers, and signs of life are one or two a second.
    public static let limits: ChannelLimits = {
        var limits = ChannelLimits()
        limits.outboundMessages = 4096
        limits.framesPerMessage = 2
        limits.messageBytes = WireLimits.messageBytesMax + 2 * WireLimits.chunkBytes
        limits.receivedMessageBytes = WireLimits.requestBytesMax + 2 * WireLimits.chunkBytes
        limits.unfinishedBytesPerConnection = 2 * WireLimits.requestBytesMax
        return limits
    }()

    /// How its socket behaves, keys aside.
    ///
    /// Messages that were received wait in the channel only, never in libzmq: it would stop to read from their peer,
    /// and when such a connection breaks it ends the process (libzmq issue 4364).
    static let options: SocketOptions = {
        var options = SocketOptions()
        // Many peers each hold little: credit bounds what is under way, this bounds what a dead peer leaves behind.
        options.sendHighWaterMark = 1024
        options.receiveHighWaterMark = nil
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
    ///   - endpoint: Where; port 0 lets the kernel choose.
    ///   - context: The process's context.
    ///   - keys: The coordinator's pair and who may connect; needed where other machines reach the endpoint.
    ///   - claimPeriod: How long a worker's name stays its own after its last message.
    ///   - limits: What it takes from peers and holds for them.
    ///   - onUnknownKey: Told of a key that was refused, once a minute at most.
    ///   - onFlood: Told of a host whose connection was ended because it sent more bytes than are held for it, once a
    ///     minute at most.
    ///   - onUnsendable: Told of each message that was too large to be sent, and to whom.
    ///   - onUnheard: Told of connections that ended before a message came by them, so before a key was proved where
    ///     keys are asked for: once a minute at most, all since the last time.
    ///   - onRenewal: Told that all connections were ended, since some that claimed taken names had left so many bytes.
    /// - Returns: An endpoint that listens; until ``guardConnections()`` runs, nobody with keys gets in.
    /// - Throws: ``MessagingError/unprotectedEndpoint(endpoint:)`` for an endpoint that other machines reach,
    ///   ``MessagingError/cannotOpen(endpoint:cause:)`` when it is taken or not permitted.
    public static func bind(
        _ endpoint: Endpoint, context: Context, keys: CoordinatorKeys? = nil, claimPeriod: Duration = .seconds(10),
        limits: ChannelLimits = limits, onUnknownKey: @escaping @Sendable (CurvePublicKey) -> Void = { _ in },
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

    /// Lets authorized keys in, and notes messages that break the limits of the socket, until cancelled.
    ///
    /// - Throws: ``MessagingError/cannotOpen(endpoint:cause:)`` when nobody can be let in any more.
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
        // The endpoint is closed: what it received is still read by others, and they decide when all is over.
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
    }

    private func watchUnheard() async {
        while !Task.isCancelled {
            unheard.note(channel.takeUnheardConnections(), at: .now)
            try? await Task.sleep(for: .seconds(1))
        }
    }

    /// Connections of the last minute that ended before a message came by them.
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

    /// Tells a peer what it may not; a question gets its answer, anything else ends the conversation.
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

    /// Tells a peer why it is not talked to any more; with its next message it loses the connection.
    public func end(_ peer: RoutingIdentity, because sentence: String) async {
        await send(.refusal(PeerRefusal(message: sentence)), to: peer)
        conduct.withLock { $0.ban(peer, at: .now) }
    }

    /// Whose peer it is: its key, or the connection where there are no keys.
    public func holder(of peer: RoutingIdentity) -> String { access?.holder(of: peer) ?? "\(peer)" }

    /// What the log calls a peer.
    public func name(of peer: RoutingIdentity) -> String { names.name(of: peer) }

    /// Queues a message to a peer; what cannot be delivered is dropped and shows as a peer that is not heard.
    ///
    /// A message that is too large to be one is told to whoever watches; in the place of an answer the peer is told so.
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

    /// When to read no more from disk: so many bytes wait for one peer, or for all.
    ///
    /// Above the second, only peers that have taken nearly all of theirs get more. Messages are dropped at higher
    /// limits.
    private static let (roomBytesPerPeer, roomBytes) = (64 << 20, 512 << 20)

    /// Whether a peer takes what it is sent, so that more bytes may follow.
    public func hasRoom(for peer: RoutingIdentity) -> Bool {
        let held = channel.heldBytes(for: peer)
        return held.peer <= (held.all <= Self.roomBytes ? Self.roomBytesPerPeer : WireLimits.chunkBytes)
    }

    /// Bytes of a client, and of all clients, above which no more are read for it: workers' room is not theirs.
    private static let (bytesPerClient, clientBytes) = (4 << 20, 128 << 20)

    /// Whether a client takes what it is sent, and other clients do too, so that more bytes may follow.
    public func roomForClient(_ peer: RoutingIdentity) -> ClientRoom {
        if channel.heldBytes(for: peer).peer > Self.bytesPerClient { return .notTaken }
        return channel.heldBytes { !names.isWorker($0) } > Self.clientBytes ? .crowded : .free
    }

    /// Whether a client may be sent more bytes.
    public enum ClientRoom: Sendable {
        /// It may.
        case free
        /// It does not take what it was sent.
        case notTaken
        /// Too much is on its way to other clients; that may be better in a moment.
        case crowded
    }

    /// What waits and what went over the socket.
    public var statistics: ChannelStatistics { channel.statistics }

    /// How many messages were too large to be sent.
    public var unsendableMessages: UInt64 { unsendable.withLock { $0 } }

    /// Sends what is queued and closes.
    public func close() async {
        await channel.close(flushingFor: .seconds(2))
    }
}

/// Tells of each unknown key once a minute.
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
