import Foundation
import Supervision
import Synchronization
import TestSupport
import Testing

@testable import Systemd

@Suite(.timeLimit(.minutes(5))) struct ServiceNotifierTests {
    private let directory: TemporaryDirectory
    private let manager: NotificationListener
    private let notifier: ServiceNotifier

    init() throws {
        directory = try TemporaryDirectory()
        manager = try NotificationListener(address: directory.appending("notify"))
        notifier = try ServiceNotifier(address: manager.address) { Issue.record("\($0)") }
    }

    @Test func `each notification has the assignments of the manual`() throws {
        let expected: [(Systemd.Notification, [String])] = [
            (.ready, ["READY=1"]), (.stopping, ["STOPPING=1"]), (.watchdog, ["WATCHDOG=1"]),
            (.status("12/48 layers"), ["STATUS=12/48 layers"]),
            (.reloading(monotonicMicroseconds: 17), ["RELOADING=1", "MONOTONIC_USEC=17"]),
            (.extendTimeout(.milliseconds(1500)), ["EXTEND_TIMEOUT_USEC=1500000"]),
            (.extendTimeout(.seconds(-1)), ["EXTEND_TIMEOUT_USEC=0"]),
            (.extendTimeout(.seconds(Int64.max)), ["EXTEND_TIMEOUT_USEC=18446744073709551615"]),
        ]
        for (notification, lines) in expected {
            notifier.send(notification)
            #expect(try manager.next() == lines)
        }
    }

    @Test func `a line end in a status adds no assignment`() throws {
        notifier.send(.status("one\nREADY=1\u{0}two"))
        #expect(try manager.next() == ["STATUS=one READY=1 two"])
    }

    @Test func `several notifications travel together`() throws {
        notifier.send(.ready, .status("listening"))
        #expect(try manager.next() == ["READY=1", "STATUS=listening"])
    }

    @Test func `an abstract address is reached too`() throws {
        let manager = try NotificationListener(address: "@kfacd-test-\(UUID().uuidString)")
        try ServiceNotifier(address: manager.address).send(.ready)
        #expect(try manager.next() == ["READY=1"])
    }

    @Test func `a status is sent when it is new, and at most once a second`() throws {
        let start = ContinuousClock.now
        notifier.status("a", at: start)
        notifier.status("a", at: start + .seconds(5))
        notifier.status("b", at: start + .milliseconds(999))
        notifier.status("b", at: start + .seconds(1))
        notifier.status("a", at: start + .seconds(2))
        notifier.send(.ready)
        let statuses = try manager.wait(for: "READY=1").dropLast()
        #expect(Array(statuses) == [["STATUS=a"], ["STATUS=b"], ["STATUS=a"]])
    }

    @Test func `a reload is announced with its instant and ends with readiness`() async throws {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        await notifier.reloading { notifier.send(.status("reading")) }
        let first = try manager.next()
        #expect(first.first == "RELOADING=1")
        let instant = try #require(first.last?.split(separator: "=").last.flatMap { UInt64($0) })
        #expect(instant >= UInt64(now.tv_sec) * 1_000_000)
        #expect(try manager.next() == ["STATUS=reading"])
        #expect(try manager.next() == ["READY=1"])
    }

    @Test func `without a manager nobody is told`() throws {
        let notifier = try ServiceNotifier(address: nil) { Issue.record("\($0)") }
        notifier.send(.ready)
        #expect(!notifier.hasManager)
    }

    @Test func `a manager that is gone is complained of once`() throws {
        let complaints = Mutex<[SystemdError]>([])
        let address = directory.appending("nobody")
        let notifier = try ServiceNotifier(address: address) { error in complaints.withLock { $0.append(error) } }
        notifier.send(.ready)
        notifier.send(.watchdog)
        let all = complaints.withLock { $0 }
        #expect(all == [.callFailed(call: "sendto()", address: address, errorNumber: ENOENT)])
        #expect(
            all.first?.description
                == "the service manager at \(address) was not told: sendto() failed: No such file or directory.")
    }

    @Test(arguments: ["relative", "@", "/", "vsock:2:1234", "/" + String(repeating: "x", count: 107)])
    func `an address that cannot be one is refused`(address: String) {
        #expect(throws: SystemdError.malformedAddress(address)) { try ServiceNotifier(address: address) }
        #expect(
            SystemdError.malformedAddress(address).description
                == "NOTIFY_SOCKET is \"\(address)\"; expected an absolute path or \"@\" and a name, of at most 107 "
                + "bytes. It is set by the service manager: unset it to run without one.")
    }

    // MARK: - Watchdog

    @Test func `signs of life stop while a lane stands still and go on when it moves`() async throws {
        let lane = LaneProgress(number: 0)
        let health = HealthMonitor()
        health.watch(lane)
        let start = ContinuousClock.now
        let instant = Mutex(start)
        let complaints = Mutex<[String]>([])
        let watchdog = Watchdog(notifier: notifier, problems: { health.problems(at: instant.withLock { $0 }) }) {
            problems in complaints.withLock { $0 += problems }
        }
        let steps = Mutex<UInt64>(0)
        lane.begin("inverse of \"fc\".A", stageSeconds: 60, at: start) {
            LaneProgress.Reading(steps: steps.withLock { $0 }, isWaiting: false)
        }
        // A computation of 20 minutes with a prediction of one minute is healthy.
        instant.withLock { $0 = start + .seconds(1200) }
        await watchdog.beat()
        #expect(manager.received() == ["WATCHDOG=1"])
        instant.withLock { $0 = start + .seconds(1321) }
        await watchdog.beat()
        #expect(manager.received() == nil)
        #expect(
            complaints.withLock { $0 } == [
                "lane 0 has shown no progress for 1321 s with the inverse of \"fc\".A; it may take 1320 s"
            ])
        steps.withLock { $0 += 1 }
        await watchdog.beat()
        #expect(manager.received() == ["WATCHDOG=1"])
    }

    @Test func `signs of life come again and again until cancelled`() async throws {
        let watchdog = Watchdog(notifier: notifier, problems: { [] }, onUnwell: { _ in })
        let signs = Task { await watchdog.run(timeout: .milliseconds(2)) }
        var count = 0
        // A wait in the kernel would hold a thread that the watchdog may need.
        while count < 3 {
            if let sign = manager.received() {
                #expect(sign == ["WATCHDOG=1"])
                count += 1
            } else {
                try await Task.sleep(for: .milliseconds(1))
            }
        }
        signs.cancel()
        await signs.value
    }
}
