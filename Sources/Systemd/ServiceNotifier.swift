internal import Glibc
internal import Synchronization

/// Sends messages to the service manager; without a manager it does nothing.
///
/// When sending fails, this is reported once and sending stops. A service works without its manager too.
public final class ServiceNotifier: Sendable {
    private let socket: NotifySocket?
    private let throttle = Mutex(StatusThrottle())
    private let hasFailed = Mutex(false)
    private let onFailure: @Sendable (SystemdError) -> Void

    /// Opens the socket.
    ///
    /// - Parameters:
    ///   - address: The manager's address, or `nil`.
    ///   - onFailure: Called the first time that a message cannot be sent.
    /// - Throws: ``SystemdError/malformedAddress(_:)`` or ``SystemdError/callFailed(call:address:errorNumber:)``.
    public init(
        address: String?, onFailure: @escaping @Sendable (SystemdError) -> Void = { _ in }
    ) throws(SystemdError) {
        if let address { socket = try NotifySocket(address: address) } else { socket = nil }
        self.onFailure = onFailure
    }

    /// Whether there is a manager.
    public var hasManager: Bool { socket != nil }

    /// Sends notifications in one message, so that the manager processes them together.
    public func send(_ notifications: Notification...) {
        guard let socket else { return }
        do {
            try socket.send(notifications.map(\.text).joined(separator: "\n"))
        } catch {
            let isFirst = hasFailed.withLock { hasFailed in
                defer { hasFailed = true }
                return !hasFailed
            }
            if isFirst { onFailure(error) }
        }
    }

    /// Sends a status line, at most once a second and only when it has changed.
    ///
    /// - Parameters:
    ///   - text: One line. If it comes too early, the caller's next regular call offers it again.
    ///   - now: The current time.
    public func status(_ text: String, at now: ContinuousClock.Instant = .now) {
        if throttle.withLock({ $0.admits(text, at: now) }) { send(.status(text)) }
    }

    /// Announces a reload, runs a body, and then announces that the service is ready.
    public func reloading(_ body: () async -> Void) async {
        send(.reloading(monotonicMicroseconds: Self.monotonicMicroseconds))
        await body()
        send(.ready)
    }

    private static var monotonicMicroseconds: UInt64 {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        return UInt64(now.tv_sec) * 1_000_000 + UInt64(now.tv_nsec) / 1000
    }
}
