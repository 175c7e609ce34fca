internal import Glibc

/// The variables that the service manager set for this process.
///
/// Source: sd_notify(3), sd_watchdog_enabled(3).
public struct ServiceEnvironment: Equatable, Sendable {
    /// The manager's address from `NOTIFY_SOCKET`, or `nil` without a manager.
    public var notifyAddress: String?
    /// The silence after which the manager ends the service; `nil` when it does not watch this process.
    public var watchdogTimeout: Duration?

    /// Reads an environment.
    ///
    /// - Parameters:
    ///   - variables: The environment.
    ///   - processIdentifier: This process. A watchdog for another process (`WATCHDOG_PID`) does not count.
    public init(variables: [String: String], processIdentifier: Int32) {
        if let address = variables["NOTIFY_SOCKET"], !address.isEmpty { notifyAddress = address }
        let isMeant = variables["WATCHDOG_PID"].map { Int32($0) == processIdentifier } ?? true
        if isMeant, let text = variables["WATCHDOG_USEC"], let microseconds = Int64(text), microseconds > 0 {
            watchdogTimeout = .microseconds(microseconds)
        }
    }

    /// Reads this process's environment and removes these variables, so that no child sends messages in its name.
    ///
    /// Call it before other threads start, because they may read the environment too.
    public static func take() -> ServiceEnvironment {
        let names = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]
        var variables: [String: String] = [:]
        for name in names {
            guard let value = unsafe getenv(name) else { continue }
            variables[name] = unsafe String(cString: value)
            unsafe unsetenv(name)
        }
        return ServiceEnvironment(variables: variables, processIdentifier: getpid())
    }
}
