internal import Glibc
internal import Synchronization

/// Tells the service manager how the service fares; tells nobody when there is none.
///
/// A message that cannot be sent is reported once and then given up: a service does its work with a deaf manager too.
public final class ServiceNotifier: Sendable {
    private let socket: NotifySocket?
    private let throttle = Mutex(StatusThrottle())
    private let hasFailed = Mutex(false)
    private let onFailure: @Sendable (SystemdError) -> Void

    /// Opens the way to the manager.
    ///
    /// - Parameters:
    ///   - address: Where it listens, or `nil`.
    ///   - onFailure: Told the first time that a message could not be sent.
    /// - Throws: ``SystemdError/malformedAddress(_:)`` or ``SystemdError/callFailed(call:address:errorNumber:)``.
    public init(
        address: String?, onFailure: @escaping @Sendable (SystemdError) -> Void = { _ in }
    ) throws(SystemdError) {
        if let address { socket = try NotifySocket(address: address) } else { socket = nil }
        self.onFailure = onFailure
    }

    /// Whether anybody is told.
    public var hasManager: Bool { socket != nil }

    /// Sends notifications in one message, so that the manager takes them in together.
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

    /// Says what the service does, at most once a second and only when it is something else than before.
    ///
    /// - Parameters:
    ///   - text: One line; it is offered again by whoever calls regularly when it comes too early.
    ///   - now: The instant.
    public func status(_ text: String, at now: ContinuousClock.Instant = .now) {
        if throttle.withLock({ $0.admits(text, at: now) }) { send(.status(text)) }
    }

    /// Says that the configuration is being read again, then runs a body, then says that the service is ready.
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
