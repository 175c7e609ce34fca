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
    private var awaitsIdentity: Bool
    private var frames: [Frame] = []
    private var frameCount = 0
    private(set) var byteCount = 0
    private var authenticatedUser: String?

    /// Begins a message; a router's begins with the peer's identity.
    package init(limits: ChannelLimits, isIdentityFirst: Bool, hasAuthenticator: Bool) {
        self.limits = limits
        self.hasAuthenticator = hasAuthenticator
        awaitsIdentity = isIdentityFirst
    }

    mutating func append(_ received: ReceivedFrame) {
        append(received.frame, user: received.userID)
    }

    /// Takes a frame; the user is who the authenticator found on the connection.
    package mutating func append(_ frame: Frame, user: @autoclosure () -> String?) {
        if awaitsIdentity {
            awaitsIdentity = false
            routingIdentity = RoutingIdentity(received: frame)
            return
        }
        // Without an authenticator the property, if there is one, comes from the peer's own greeting and proves
        // nothing.
        if frameCount == 0, hasAuthenticator { authenticatedUser = user() }
        frameCount += 1
        // Cannot overflow: each count is of memory that exists at this moment or was freed a moment ago, but a peer
        // chooses them, so the sum saturates all the same.
        let (sum, overflow) = byteCount.addingReportingOverflow(frame.byteCount)
        byteCount = overflow ? .max : sum
        if isWithinLimits {
            frames.append(frame)
        } else {
            frames = []
        }
    }

    /// The message, or what was wrong with it.
    package func finish() -> Result<Message, Problem> {
        if frameCount == 0 { return .failure(Problem(reason: .empty)) }
        if frameCount > limits.framesPerMessage {
            return .failure(Problem(reason: .tooManyFrames(count: frameCount, limit: limits.framesPerMessage)))
        }
        if byteCount > limits.messageBytes {
            return .failure(Problem(reason: .tooLarge(byteCount: byteCount, limit: limits.messageBytes)))
        }
        var message = Message(to: routingIdentity, frames)
        message.authenticatedUser = authenticatedUser
        return .success(message)
    }

    private var isWithinLimits: Bool {
        frameCount <= limits.framesPerMessage && byteCount <= limits.messageBytes
    }
}
