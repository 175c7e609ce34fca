/// Signs of life for the service manager, as long as the service is well.
///
/// A process that hangs is the manager's to end, so nothing is sent from the moment at which something is wrong; when
/// it is well again in time, the signs go on.
public struct Watchdog: Sendable {
    private let notifier: ServiceNotifier
    private let problems: @Sendable () async -> [String]
    private let onUnwell: @Sendable ([String]) -> Void

    /// Prepares the signs.
    ///
    /// - Parameters:
    ///   - notifier: The way to the manager.
    ///   - problems: What is wrong, in sentences; nothing when all is well.
    ///   - onUnwell: Told at every sign that is left out.
    public init(
        notifier: ServiceNotifier, problems: @escaping @Sendable () async -> [String],
        onUnwell: @escaping @Sendable ([String]) -> Void
    ) {
        self.notifier = notifier
        self.problems = problems
        self.onUnwell = onUnwell
    }

    /// Gives one sign of life, if all is well.
    public func beat() async {
        let problems = await problems()
        if problems.isEmpty { notifier.send(.watchdog) } else { onUnwell(problems) }
    }

    /// Gives signs of life until cancelled, twice in the time after which the manager loses patience.
    ///
    /// - Parameter timeout: That time, `WATCHDOG_USEC`.
    public func run(timeout: Duration) async {
        while !Task.isCancelled {
            await beat()
            try? await Task.sleep(for: timeout / 2)
        }
    }
}
