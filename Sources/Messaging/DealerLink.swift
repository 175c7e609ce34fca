import Keys
import WireProtocol
import ZeroMQ

/// A dealer that connects to a coordinator; workers and clients share it.
struct DealerLink: Sendable {
    let channel: MessageChannel
    let endpoint: String
    /// Whether messages are protected by keys.
    let usesKeys: Bool

    /// Starts to connect; the coordinator need not be running yet.
    ///
    /// - Parameters:
    ///   - endpoint: Where the coordinator listens.
    ///   - keys: This side's key and the coordinator's; needed for a coordinator on another machine.
    ///   - linger: How long the last messages may take to leave after closing.
    ///   - context: The process's context.
    /// - Returns: A link that connects in the background.
    /// - Throws: ``MessagingError/cannotOpen(endpoint:cause:)`` for an address that is not valid,
    ///   ``MessagingError/unprotectedConnection(endpoint:)`` without keys.
    static func connect(
        to endpoint: Endpoint, keys: PeerKeys?, linger: Duration, context: Context
    ) async throws(MessagingError) -> DealerLink {
        guard endpoint.isLocalOnly || keys != nil else {
            throw .unprotectedConnection(endpoint: endpoint.description)
        }
        var options = SocketOptions()
        if let keys { options.curve = .client(keys.pair, serverKey: keys.serverKey) }
        options.linger = linger
        options.isIPv6Enabled = endpoint.isIPv6
        options.reconnectInterval = .milliseconds(50)
        options.maximumReconnectInterval = .seconds(1)
        var limits = ChannelLimits()
        limits.framesPerMessage = 2
        limits.messageBytes = WireLimits.messageBytesMax + 2 * WireLimits.chunkBytes
        do {
            let channel = try await MessageChannel.connect(
                endpoint, context: context, options: options, limits: limits, name: "kfacd-dealer")
            return DealerLink(channel: channel, endpoint: endpoint.description, usesKeys: keys != nil)
        } catch {
            throw .cannotOpen(endpoint: endpoint.description, cause: error.description)
        }
    }

    /// The error for an event after which another attempt on this link cannot succeed.
    ///
    /// - Parameter event: The event.
    /// - Returns: The error to end with, or `nil`.
    func failure(after event: ChannelEvent) -> MessagingError? {
        guard case .handshakeFailed(_, let failure) = event else { return nil }
        switch failure {
        case .refused: return .keyRefused(endpoint: endpoint)
        case .protocolError: return .handshakeFailed(endpoint: endpoint)
        case .connectionLost: return nil
        }
    }

    /// Queues a message.
    ///
    /// - Throws: ``MessagingError/closed(endpoint:)`` when this side has closed;
    ///   ``MessagingError/transferFailed(what:message:)`` for a message that is too large.
    func send(_ message: WireMessage, payload: Frame? = nil) async throws(MessagingError) {
        let frames: Message
        do {
            frames = try Message(message, payload: payload)
        } catch {
            throw .transferFailed(what: endpoint, message: error.description)
        }
        do {
            try await channel.send(frames)
        } catch {
            throw .closed(endpoint: endpoint)
        }
    }

    /// Waits for the next message; bytes that are not a message are ignored.
    ///
    /// - Parameter isStrict: Whether bytes that are not a message end the wait. Meant for a caller that waits for one
    ///   answer.
    /// - Returns: The message and the bytes that belong to it.
    /// - Throws: ``MessagingError/transferFailed(what:message:)`` for bytes that are not a message, if `isStrict`;
    ///   ``MessagingError/closed(endpoint:)`` when this side has closed;
    ///   ``MessagingError/refused(endpoint:message:)`` when the coordinator refuses to talk.
    func receive(isStrict: Bool = false) async throws(MessagingError) -> (message: WireMessage, payload: Frame?) {
        while true {
            guard let received = try? await channel.receive() else { throw .closed(endpoint: endpoint) }
            do {
                let (message, payload) = try received.decoded()
                if case .refusal(let refusal) = message {
                    throw MessagingError.refused(endpoint: endpoint, message: refusal.message)
                }
                return (message, payload)
            } catch let error as MessagingError {
                throw error
            } catch let error as WireError {
                if case .versionMismatch = error { throw .refused(endpoint: endpoint, message: error.description) }
                if isStrict { throw .transferFailed(what: endpoint, message: error.description) }
            } catch {
                continue
            }
        }
    }
}
