public import Keys
public import WireProtocol
public import ZeroMQ

/// A client's side: requests and their replies, one at a time.
public actor ClientConnection {
    private let link: DealerLink
    private var requests: UInt64 = 0

    private init(link: DealerLink) {
        self.link = link
    }

    /// Starts to connect to a coordinator.
    ///
    /// - Parameters:
    ///   - endpoint: Where the coordinator listens.
    ///   - keys: The client's key and the coordinator's; needed for a coordinator on another machine.
    ///   - context: The process's context.
    /// - Returns: A connection on which requests can be made at once.
    /// - Throws: ``MessagingError/cannotOpen(endpoint:cause:)``, ``MessagingError/unprotectedConnection(endpoint:)``.
    public static func connect(
        to endpoint: Endpoint, keys: PeerKeys? = nil, context: Context
    ) async throws(MessagingError) -> ClientConnection {
        ClientConnection(
            link: try await DealerLink.connect(to: endpoint, keys: keys, linger: .zero, context: context))
    }

    /// Asks again when the connection breaks, and gives up when the keys do not fit.
    private static func watch(_ link: DealerLink, askAgain: () async throws(MessagingError) -> Void)
        async throws(MessagingError)
    {
        var (lost, firstLoss) = (0, ContinuousClock.now)
        for await event in link.channel.events {
            if let error = link.failure(after: event) { throw error }
            switch event {
            case .disconnected: try await askAgain()
            case .handshakeSucceeded: lost = 0
            case .handshakeFailed(_, .connectionLost) where link.usesKeys:
                // One may be lost when a coordinator ends; a wrong server key loses all of them. Without keys it is
                // the network that breaks off, and may be better in a moment.
                if lost == 0 { firstLoss = .now }
                lost += 1
                // A coordinator with too many connections loses some, too, and has room in a moment.
                if lost >= 3, ContinuousClock.now - firstLoss >= .seconds(2) {
                    throw .handshakeFailed(endpoint: link.endpoint)
                }
            default: continue
            }
        }
    }

    /// Asks and waits for the answer.
    ///
    /// When the connection breaks meanwhile the question is asked again, since it or its answer may be lost: every
    /// request may come twice.
    ///
    /// - Parameters:
    ///   - request: What to ask.
    ///   - timeout: How long to wait, for all of it together: connecting, sending, the answer.
    ///   - onProgress: Told what is done for an answer that takes long; the time goes on.
    /// - Returns: The reply, with the bytes that belong to it.
    /// - Throws: ``MessagingError/unreachable(endpoint:waited:)`` when no answer comes in time,
    ///   ``MessagingError/refused(endpoint:message:)`` for a peer of another version,
    ///   ``MessagingError/keyRefused(endpoint:)`` or ``MessagingError/handshakeFailed(endpoint:)`` for keys that do not
    ///   fit.
    public func ask(
        _ request: ClientRequest, timeout: Duration, onProgress: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws(MessagingError) -> (reply: ClientReply, payload: Frame?) {
        requests += 1
        let number = requests
        let link = link
        do {
            return try await withThrowingTaskGroup(of: (ClientReply, Frame?)?.self) { group in
                group.addTask {
                    // Within the time too: a queue may be full, or a connection never stand.
                    try await link.send(.request(number, request))
                    while true {
                        let (message, payload) = try await link.receive(isStrict: true)
                        guard case .reply(number, let reply) = message else { continue }
                        guard case .progress(let text) = reply else { return (reply, payload) }
                        onProgress(text)
                    }
                }
                group.addTask {
                    try? await Task.sleep(for: timeout)
                    return nil
                }
                group.addTask {
                    // The only reader of the link's events: whoever reads one takes it from all others.
                    try await Self.watch(link) { () throws(MessagingError) in
                        try await link.send(.request(number, request))
                    }
                    // Closed or cancelled: the others tell which.
                    try? await Task.sleep(for: timeout)
                    return nil
                }
                defer { group.cancelAll() }
                guard let first = try await group.next(), let answer = first else {
                    throw MessagingError.unreachable(endpoint: link.endpoint, waited: timeout)
                }
                return answer
            }
        } catch let error as MessagingError {
            throw error
        } catch {
            throw .closed(endpoint: link.endpoint)
        }
    }

    /// Closes the connection; a question without an answer is dropped.
    public func close() async {
        await link.channel.close(flushingFor: .zero)
    }
}
