/// Sends signs of life to the service manager while the service is healthy.
///
/// The manager must end a process that hangs. So the signs stop when a check fails. When the service is healthy again
/// in time, the signs go on.
public struct Watchdog: Sendable {
    private let notifier: ServiceNotifier
    private let problems: @Sendable () async -> [String]
    private let onUnwell: @Sendable ([String]) -> Void

    /// Prepares the watchdog.
    ///
    /// - Parameters:
    ///   - notifier: The connection to the manager.
    ///   - problems: The problems as sentences; empty when the service is healthy.
    ///   - onUnwell: Called for every sign that is left out.
    public init(
        notifier: ServiceNotifier, problems: @escaping @Sendable () async -> [String],
        onUnwell: @escaping @Sendable ([String]) -> Void
    ) {
        self.notifier = notifier
        self.problems = problems
        self.onUnwell = onUnwell
    }

    /// Sends one sign of life, if the service is healthy.
    public func beat() async {
        let problems = await problems()
        if problems.isEmpty { notifier.send(.watchdog) } else { onUnwell(problems) }
    }

    /// Sends signs of life until cancelled, twice within the manager's timeout.
    ///
    /// - Parameter timeout: The manager's timeout, `WATCHDOG_USEC`.
    public func run(timeout: Duration) async {
        while !Task.isCancelled {
            await beat()
            try? await Task.sleep(for: timeout / 2)
        }
    }
}
