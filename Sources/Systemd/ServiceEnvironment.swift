internal import Glibc

/// What the service manager put into the environment of this process.
///
/// Source: sd_notify(3), sd_watchdog_enabled(3).
public struct ServiceEnvironment: Equatable, Sendable {
    /// Where the manager listens, as `NOTIFY_SOCKET` has it, or `nil` when nobody does.
    public var notifyAddress: String?
    /// The manager ends the service when it hears nothing for so long; `nil` when it does not watch this process.
    public var watchdogTimeout: Duration?

    /// Reads an environment.
    ///
    /// - Parameters:
    ///   - variables: The environment.
    ///   - processIdentifier: This process: a watchdog for another one (`WATCHDOG_PID`) is none for this.
    public init(variables: [String: String], processIdentifier: Int32) {
        if let address = variables["NOTIFY_SOCKET"], !address.isEmpty { notifyAddress = address }
        let isMeant = variables["WATCHDOG_PID"].map { Int32($0) == processIdentifier } ?? true
        if isMeant, let text = variables["WATCHDOG_USEC"], let microseconds = Int64(text), microseconds > 0 {
            watchdogTimeout = .microseconds(microseconds)
        }
    }

    /// Reads this process's environment and removes what was read, so that no child talks in this process's name.
    ///
    /// Call it before there are other threads: they may read the environment too.
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
