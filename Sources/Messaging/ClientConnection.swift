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
    ///   - context: The process's context.
    /// - Returns: A connection on which requests can be made at once.
    /// - Throws: ``MessagingError/cannotOpen(endpoint:cause:)``.
    public static func connect(to endpoint: Endpoint, context: Context) async throws(MessagingError) -> ClientConnection
    {
        ClientConnection(link: try await DealerLink.connect(to: endpoint, as: nil, linger: .zero, context: context))
    }

    /// Asks and waits for the answer.
    ///
    /// When the connection breaks meanwhile the question is asked again, since it or its answer may be lost: every
    /// request may come twice.
    ///
    /// - Parameters:
    ///   - request: What to ask.
    ///   - timeout: How long to wait.
    /// - Returns: The reply, with the bytes that belong to it.
    /// - Throws: ``MessagingError/unreachable(endpoint:waited:)`` when no answer comes in time,
    ///   ``MessagingError/refused(endpoint:message:)`` for a peer of another version.
    public func ask(
        _ request: ClientRequest, timeout: Duration
    ) async throws(MessagingError) -> (reply: ClientReply, payload: Frame?) {
        requests += 1
        let number = requests
        let link = link
        try await link.send(.request(number, request))
        do {
            return try await withThrowingTaskGroup(of: (ClientReply, Frame?)?.self) { group in
                group.addTask {
                    while true {
                        let (message, payload) = try await link.receive()
                        if case .reply(number, let reply) = message { return (reply, payload) }
                    }
                }
                group.addTask {
                    for await event in link.channel.events {
                        guard case .disconnected = event else { continue }
                        try await link.send(.request(number, request))
                    }
                    // Closed or cancelled: the others tell which.
                    try? await Task.sleep(for: timeout)
                    return nil
                }
                group.addTask {
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
