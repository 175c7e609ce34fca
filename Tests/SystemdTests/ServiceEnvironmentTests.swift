import Glibc
import Testing

@testable import Systemd

@Suite struct ServiceEnvironmentTests {
    @Test func `the manager's variables are understood`() {
        let environment = ServiceEnvironment(
            variables: ["NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "17"],
            processIdentifier: 17)
        #expect(environment.notifyAddress == "/run/systemd/notify")
        #expect(environment.watchdogTimeout == .seconds(60))
    }

    @Test(arguments: [
        ["WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "18"], ["WATCHDOG_USEC": "0"], ["WATCHDOG_USEC": "soon"],
        ["NOTIFY_SOCKET": ""], [:],
    ])
    func `another process's watchdog, none, and nonsense are no watchdog`(variables: [String: String]) {
        let environment = ServiceEnvironment(variables: variables, processIdentifier: 17)
        #expect(environment.watchdogTimeout == nil)
        #expect(environment.notifyAddress == nil)
    }

    @Test func `a watchdog without a process is meant for whoever reads it`() {
        let environment = ServiceEnvironment(variables: ["WATCHDOG_USEC": "1000"], processIdentifier: 17)
        #expect(environment.watchdogTimeout == .milliseconds(1))
    }
}
