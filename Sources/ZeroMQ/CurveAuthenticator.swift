/// Decides which CURVE keys may connect to the servers of a context.
///
/// Source: ZeroMQ RFC 27 (ZAP). libzmq asks over `inproc://zeromq.zap.01` about every key that a client has proved to
/// hold. ``CurveRole/server(_:authenticator:)`` takes the authenticator and keeps it alive. A task must run ``run()``.
/// While it does not run, handshakes wait and time out, so nobody gets in.
public final class CurveAuthenticator: Sendable {
    private let channel: MessageChannel
    private let isAuthorized: @Sendable (CurvePublicKey) -> Bool

    /// Makes the one authenticator of a context.
    ///
    /// - Parameters:
    ///   - context: the context of the servers.
    ///   - isAuthorized: called for every new connection; it must not block.
    /// - Throws: ``ZeroMQError/callFailed(call:errorNumber:)`` when the context has an authenticator already.
    public init(
        context: Context,
        isAuthorized: @escaping @Sendable (CurvePublicKey) -> Bool
    ) async throws(ZeroMQError) {
        let endpoint = try Endpoint("inproc://zeromq.zap.01")
        channel = try await MessageChannel.bind(endpoint, context: context, name: "zmq-zap")
        self.isAuthorized = isAuthorized
    }

    /// Answers libzmq's questions until the task is cancelled.
    ///
    /// - Throws: ``ZeroMQError`` when the channel fails; nobody is let in any more.
    public func run() async throws(ZeroMQError) {
        for await request in channel.messages {
            guard let reply = reply(to: request) else { continue }
            try await channel.send(reply)
        }
    }

    /// The answer to a request, or nil when the message is not a request.
    private func reply(to request: Message) -> Message? {
        // delimiter, version, request id, domain, address, identity, mechanism, key
        guard request.frames.count == 8, request.frames[0].byteCount == 0, request.frames[1].text == "1.0" else {
            return nil
        }
        let key = CurvePublicKey(bytes: request.frames[7].copyBytes())
        guard request.frames[6].text == "CURVE", let key, isAuthorized(key) else {
            return answer(request, status: "400", text: "the key is not authorized", user: "")
        }
        return answer(request, status: "200", text: "", user: key.description)
    }

    private func answer(_ request: Message, status: String, text: String, user: String) -> Message {
        // delimiter, version, request id, status, text, user id, metadata
        Message(
            to: request.routingIdentity,
            [request.frames[0], "1.0", request.frames[2], Frame(status), Frame(text), Frame(user), ""]
        )
    }
}
