import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The daemons as services: their messages to the service manager, and their end.
    @Suite struct ServiceTests {
        private let directory: TemporaryDirectory
        private let manager: NotificationListener

        init() throws {
            directory = try TemporaryDirectory()
            manager = try NotificationListener(address: directory.appending("notify"))
        }

        private func start(
            _ arguments: [String], name: String = "daemon", environment: [String: String] = [:]
        ) throws -> RunningProgram {
            try RunningProgram(
                Programs.daemon, arguments, name: name, in: directory,
                environment: ["NOTIFY_SOCKET": manager.address].merging(environment) { $1 })
        }

        private func coordinator(_ more: [String] = [], environment: [String: String] = [:]) throws -> RunningProgram {
            try start(
                ["coordinator", "--bind", "tcp://127.0.0.1:0", "--state-directory", directory.appending("state")]
                    + more,
                environment: environment)
        }

        /// Waits for a daemon's end, and takes what it says meanwhile.
        ///
        /// The kernel holds only a few messages for a manager, and who sends one more waits.
        private func end(of daemon: RunningProgram) async throws -> Int32 {
            try await eventually("the end of the daemon", finding: daemon.logTail) {
                while manager.received() != nil {}
                return !daemon.isRunning
            }
            return try await daemon.exitCode()
        }

        @Test func `a coordinator tells its whole life from ready to stopping`() async throws {
            let file = try directory.write(Array("log-level: notice\nheartbeat: 500\n".utf8), to: "c.yaml")
            let daemon = try coordinator(["--config", file], environment: ["WATCHDOG_USEC": "200000"])
            try manager.wait(for: "READY=1")
            try manager.wait(for: "STATUS=no job, 0 workers")
            try manager.wait(for: "WATCHDOG=1")
            try directory.write(Array("log-level: debug\nheartbeat: 700\n".utf8), to: "c.yaml")
            daemon.send(SIGHUP)
            let reloading = try #require(try manager.wait(for: "RELOADING=1").last)
            #expect(reloading.contains { $0.hasPrefix("MONOTONIC_USEC=") })
            try manager.wait(for: "READY=1")
            #expect(daemon.errors.contains("the configuration was read again log_level=debug"))
            #expect(
                daemon.errors.contains(
                    "a changed setting takes effect with the next start setting=heartbeat source=\(file):2"))
            try directory.write(Array("log-level: loud\n".utf8), to: "c.yaml")
            daemon.send(SIGHUP)
            try manager.wait(for: "RELOADING=1")
            try manager.wait(for: "READY=1")
            #expect(daemon.errors.contains("the log level is unchanged"), "\(daemon.logTail)")
            daemon.send(SIGTERM)
            try manager.wait(for: "STOPPING=1")
            #expect(try await end(of: daemon) == 0, "\(daemon.logTail)")
        }

        @Test func `a worker is ready once the coordinator has welcomed it, and drains`() async throws {
            try await Cluster.with { cluster in
                let worker = try start(
                    [
                        "worker", "--coordinator", cluster.endpoint, "--lanes", "1", "--memory", "512",
                        "--drain-timeout", "3600",
                    ],
                    name: "worker")
                try manager.wait(for: "READY=1")
                try manager.wait(for: "STATUS=0 units under way, 0 queued")
                worker.send(SIGTERM)
                let stopping = try manager.wait(for: "STOPPING=1")
                #expect(!stopping.joined().contains { $0.hasPrefix("WATCHDOG") })
                try manager.wait(for: "EXTEND_TIMEOUT_USEC=3610000000")
                #expect(try await end(of: worker) == 0, "\(worker.logTail)")
                try await eventually("the farewell") {
                    cluster.coordinator.errors.contains("worker left")
                }
            }
        }

        @Test func `a worker that nobody welcomes is never ready`() async throws {
            let worker = try start(
                ["worker", "--coordinator", "tcp://127.0.0.1:9", "--lanes", "1", "--memory", "512", "--patience", "1"])
            #expect(try await worker.exitCode() == 1)
            var all: [String] = []
            while let message = manager.received() { all += message }
            #expect(!all.contains("READY=1"))
            #expect(all.contains("STOPPING=1"))
            let told = "STATUS=failed: no coordinator answered at tcp://127.0.0.1:9 within 1.0 seconds."
            #expect(all.contains { $0.hasPrefix(told) }, "\(all)")
        }

        @Test func `standard error that leads to the journal carries priorities`() async throws {
            // The file for standard error stands in for the journal's stream.
            let path = directory.appending("daemon.stderr")
            _ = FileManager.default.createFile(atPath: path, contents: nil)
            let launcher = [
                "/bin/sh", "-c", "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"", "sh",
            ]
            let daemon = try RunningProgram(
                launcher[0],
                Array(launcher.dropFirst()) + [
                    Programs.daemon, "coordinator", "--bind", "tcp://127.0.0.1:0", "--state-directory",
                    directory.appending("state"),
                ], name: "daemon", in: directory, environment: ["NOTIFY_SOCKET": manager.address])
            try manager.wait(for: "READY=1")
            #expect(daemon.errors.hasPrefix("<5>listening endpoint=tcp://127.0.0.1:"), "\(daemon.logTail)")
            daemon.send(SIGTERM)
            #expect(try await end(of: daemon) == 0, "\(daemon.logTail)")
        }

        @Test func `a socket that cannot be one is an error that names it`() async throws {
            let daemon = try coordinator(environment: ["NOTIFY_SOCKET": "nonsense"])
            #expect(try await daemon.exitCode() == 1)
            #expect(daemon.errors.contains("NOTIFY_SOCKET is"), "\(daemon.logTail)")
        }

        // MARK: - Settings

        @Test func `the settings in force are printed with their sources`() async throws {
            let file = try directory.write(Array("heartbeat: 500\n".utf8), to: "c.yaml")
            let daemon = try coordinator(
                ["--config", file, "--print-configuration"], environment: ["KFACD_LOG_LEVEL": "debug"])
            #expect(try await daemon.exitCode() == 0)
            for (line, source) in [
                ("bind: \"tcp://127.0.0.1:0\"", "--bind"), ("heartbeat: 500", "\(file):1"),
                ("log-level: debug", "KFACD_LOG_LEVEL"), ("worker-timeout: 10000", "default"),
            ] {
                #expect(
                    daemon.output.split(separator: "\n").contains { $0.hasPrefix(line) && $0.hasSuffix("# \(source)") },
                    "\(daemon.output)")
            }
        }

        @Test(arguments: [
            (["coordinator", "--heartbeat", "0"], "--heartbeat: heartbeat is 0; expected a number from 1 to 3600000."),
            (["coordinator", "--worker-timeout", "10"], "expected more than heartbeat, which is 1000."),
            (["coordinator", "--run-quota", "0"], "expected a number from 1 to 1099511627776."),
            (
                ["coordinator", "--run-expiry", "7"],
                "expected a number from 1 to 100000 with s, m, h or d behind it, such as 7d, or never."
            ),
            (["coordinator", "--log-level", "loud"], "--log-level: log-level is loud; expected one of trace, debug"),
            (["coordinator", "--http", "localhost:1"], "is no address for status pages"),
            (["coordinator", "--config", "/nowhere.yaml"], "/nowhere.yaml: the configuration file cannot be read"),
            (["worker", "--lanes", "0"], "--lanes: lanes is 0; expected a number from 1 to 4096."),
            (["worker", "--drain-timeout", "-1"], "drain-timeout"),
            (["worker", "--row-memory", "4294967297"], "expected a number from 0 to 4294967296."),
            (["worker", "--row-memory", "4294967296"], "MiB for units and rows together, or memory set."),
            (
                ["worker", "--backend", "abacus"],
                "--backend: backend is abacus; expected the name of a backend of this program: auto, bf16, fma, blas."
            ),
        ])
        func `settings that cannot be are bad usage`(arguments: [String], message: String) async throws {
            let daemon = try start(arguments)
            #expect(try await daemon.exitCode() == 2, "\(daemon.logTail)")
            #expect(daemon.errors.contains(message), "\(daemon.logTail)")
        }
    }
}
