public import Keys
public import WireProtocol
public import ZeroMQ

/// The client's side of a connection: one request and its reply at a time.
public actor ClientConnection {
    let link: DealerLink
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

    /// Asks again when the connection breaks, and fails when the keys do not match.
    static func watch(_ link: DealerLink, askAgain: () async throws(MessagingError) -> Void)
        async throws(MessagingError)
    {
        var (lost, firstLoss) = (0, ContinuousClock.now)
        for await event in link.channel.events {
            if let error = link.failure(after: event) { throw error }
            switch event {
            case .disconnected: try await askAgain()
            case .handshakeSucceeded: lost = 0
            case .handshakeFailed(_, .connectionLost) where link.usesKeys:
                // A coordinator that ends may cost one connection; a wrong server key costs every connection. Without
                // keys the network is the cause, and it may recover.
                if lost == 0 { firstLoss = .now }
                lost += 1
                // A coordinator with too many connections ends some too, and soon has room.
                if lost >= 3, ContinuousClock.now - firstLoss >= .seconds(2) {
                    throw .handshakeFailed(endpoint: link.endpoint)
                }
            default: continue
            }
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// When the connection breaks, the request is sent again, because it or its answer may be lost. So every request
    /// may arrive twice.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - timeout: The time for connecting, sending and the answer together.
    ///   - onProgress: Receives the progress of a slow answer. The timeout keeps running.
    /// - Returns: The reply and the bytes that belong to it.
    /// - Throws: ``MessagingError/unreachable(endpoint:waited:)`` when no answer comes in time,
    ///   ``MessagingError/refused(endpoint:message:)`` for a peer of another version,
    ///   ``MessagingError/keyRefused(endpoint:)`` or ``MessagingError/handshakeFailed(endpoint:)`` for keys that do not
    ///   match.
    public func ask(
        _ request: ClientRequest, timeout: Duration, onProgress: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws(MessagingError) -> (reply: ClientReply, payload: Frame?) {
        let number = nextNumber()
        let link = link
        do {
            return try await withThrowingTaskGroup(of: (ClientReply, Frame?)?.self) { group in
                group.addTask {
                    // The timeout covers this wait too: the queue may be full, or the connection may never be
                    // established.
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
                    // The only reader of the link's events: an event that one reader takes is lost for all others.
                    try await Self.watch(link) { () throws(MessagingError) in
                        try await link.send(.request(number, request))
                    }
                    // The channel is closed or the task cancelled. The other tasks report which.
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

    /// The number of the next request.
    func nextNumber() -> UInt64 {
        requests += 1
        return requests
    }

    /// Closes the connection and drops a question without an answer.
    public func close() async {
        await link.channel.close(flushingFor: .zero)
    }
}
