/// Joins received frames into messages, and drops messages that break a limit.
package struct MessageAssembly {
    /// How a message broke a limit; an error so that it fits a `Result`.
    package struct Problem: Error {
        package let reason: MalformedMessage
    }

    /// The sender, once its frame has arrived.
    package private(set) var routingIdentity: RoutingIdentity?

    private let limits: ChannelLimits
    private let hasAuthenticator: Bool
    private let pieces: FramePieces
    private var awaitsIdentity: Bool
    private var frames: [Frame] = []
    /// The pieces of an unfinished frame.
    private var begun: [Frame] = []
    private var isContinued = false
    private var frameCount = 0
    private(set) var byteCount = 0
    private var authenticatedUser: String?

    /// Begins a message; a router's message begins with the peer's identity.
    ///
    /// - Parameters:
    ///   - limits: The limits of a message.
    ///   - isIdentityFirst: Whether the message begins with the peer's identity.
    ///   - hasAuthenticator: Whether the sender has proved a key.
    ///   - pieceBytes: The size of a wire frame that the next one continues.
    package init(
        limits: ChannelLimits, isIdentityFirst: Bool, hasAuthenticator: Bool,
        pieceBytes: Int = SocketOptions().maximumFrameBytes
    ) {
        self.limits = limits
        self.hasAuthenticator = hasAuthenticator
        pieces = FramePieces(byteCount: pieceBytes)
        awaitsIdentity = isIdentityFirst
    }

    mutating func append(_ received: ReceivedFrame) {
        append(received.frame, user: received.userID)
    }

    /// Takes a wire frame; `user` is the name that the authenticator gave to the connection.
    package mutating func append(_ frame: Frame, user: @autoclosure () -> String?) {
        if awaitsIdentity {
            awaitsIdentity = false
            routingIdentity = RoutingIdentity(received: frame)
            return
        }
        // Without an authenticator the property, if it is there, comes from the peer's own greeting and proves nothing.
        if frameCount == 0, hasAuthenticator { authenticatedUser = user() }
        if !isContinued { frameCount += 1 }
        isContinued = pieces.isContinued(frame)
        // The sum cannot overflow, because each count is of memory that exists or was freed a moment ago. But a peer
        // chooses the counts, so the sum saturates anyway.
        let (sum, overflow) = byteCount.addingReportingOverflow(frame.byteCount)
        byteCount = overflow ? .max : sum
        guard isWithinLimits else {
            (frames, begun) = ([], [])
            return
        }
        begun.append(frame)
        if !isContinued { joinBegun() }
    }

    /// The message, or how it broke a limit.
    package mutating func finish() -> Result<Message, Problem> {
        if frameCount == 0 { return .failure(Problem(reason: .empty)) }
        if frameCount > limits.framesPerMessage {
            return .failure(Problem(reason: .tooManyFrames(count: frameCount, limit: limits.framesPerMessage)))
        }
        if byteCount > limits.messageBytesTaken {
            return .failure(Problem(reason: .tooLarge(byteCount: byteCount, limit: limits.messageBytesTaken)))
        }
        if isContinued { joinBegun() }
        var message = Message(to: routingIdentity, frames)
        message.authenticatedUser = authenticatedUser
        return .success(message)
    }

    private mutating func joinBegun() {
        frames.append(FramePieces.join(begun))
        begun = []
        isContinued = false
    }

    private var isWithinLimits: Bool {
        frameCount <= limits.framesPerMessage && byteCount <= limits.messageBytesTaken
    }
}

extension ChannelLimits {
    /// Bytes of one received message.
    fileprivate var messageBytesTaken: Int { min(messageBytes, receivedMessageBytes) }
}
