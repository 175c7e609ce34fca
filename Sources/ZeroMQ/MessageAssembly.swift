/// Puts received frames together and drops those of a message that breaks a limit.
package struct MessageAssembly {
    /// What was wrong, as an error so that it fits a `Result`.
    package struct Problem: Error {
        package let reason: MalformedMessage
    }

    /// The sender, once its frame has come.
    package private(set) var routingIdentity: RoutingIdentity?

    private let limits: ChannelLimits
    private let hasAuthenticator: Bool
    private let pieces: FramePieces
    private var awaitsIdentity: Bool
    private var frames: [Frame] = []
    /// The pieces of a frame that is continued.
    private var begun: [Frame] = []
    private var isContinued = false
    private var frameCount = 0
    private(set) var byteCount = 0
    private var authenticatedUser: String?

    /// Begins a message; a router's begins with the peer's identity.
    ///
    /// - Parameters:
    ///   - limits: What a message may be.
    ///   - isIdentityFirst: Whether it begins with the peer's identity.
    ///   - hasAuthenticator: Whether its sender has proved a key.
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

    /// Takes a frame of the wire; the user is who the authenticator found on the connection.
    package mutating func append(_ frame: Frame, user: @autoclosure () -> String?) {
        if awaitsIdentity {
            awaitsIdentity = false
            routingIdentity = RoutingIdentity(received: frame)
            return
        }
        // Without an authenticator the property, if there is one, comes from the peer's own greeting and proves
        // nothing.
        if frameCount == 0, hasAuthenticator { authenticatedUser = user() }
        if !isContinued { frameCount += 1 }
        isContinued = pieces.isContinued(frame)
        // Cannot overflow: each count is of memory that exists at this moment or was freed a moment ago, but a peer
        // chooses them, so the sum saturates all the same.
        let (sum, overflow) = byteCount.addingReportingOverflow(frame.byteCount)
        byteCount = overflow ? .max : sum
        guard isWithinLimits else {
            (frames, begun) = ([], [])
            return
        }
        begun.append(frame)
        if !isContinued { joinBegun() }
    }

    /// The message, or what was wrong with it.
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
