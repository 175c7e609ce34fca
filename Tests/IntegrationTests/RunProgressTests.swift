import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The display of a run, and the course of a run that nobody watches.
    @Suite struct RunProgressTests {
        private let model: LargeModel
        private let state: TemporaryDirectory
        private let output: String
        private let job: String

        init() throws {
            model = try LargeModel(.manyUnits)
            state = try TemporaryDirectory()
            output = model.directory.appending("out")
            job = try model.writeJob(output: output)
        }

        private var arguments: [String] { ["run", job, "--workers", "1", "--state-directory", state.path] }

        @Test(arguments: [20, 80, 120])
        func `on a terminal a line is drawn over and never wraps`(columns: Int) async throws {
            let terminal = try PseudoTerminal(columns: columns)
            defer { terminal.close() }
            let process = Process()
            process.executableURL = URL(fileURLWithPath: Programs.client)
            process.arguments = arguments
            process.environment = ProcessInfo.processInfo.environment.merging(["TERM": "xterm"]) { $1 }
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = FileHandle.nullDevice
            process.standardError = terminal.device
            try process.run()
            try await eventually("the end of the run", finding: terminal.text) { !process.isRunning }
            try #require(process.terminationStatus == 0, "\(terminal.text)")
            let rows = terminal.text.components(separatedBy: "\r\n")
            let drawn = rows.flatMap { $0.components(separatedBy: "\r\u{1B}[K") }.filter { $0.hasPrefix("job-1") }
            #expect(drawn.count > 1)
            // No character here is wide, so characters are columns.
            #expect(drawn.allSatisfy { $0.count < columns }, "\(drawn.max { $0.count < $1.count } ?? "")")
            // Besides the rows of the coordinator's address, one row shows the job.
            #expect(rows.filter { $0.contains("job-1") }.count == 1, "\(terminal.text)")
            if columns >= 80 { #expect(drawn.last?.contains("100 %  done in ") == true, "\(drawn.last ?? "")") }
        }

        @Test func `elsewhere there are a few plain lines`() async throws {
            let start = ContinuousClock.now
            let result = try await Client.run(arguments, in: model.directory)
            let seconds = Int((ContinuousClock.now - start) / .seconds(1))
            try #require(result.exitCode == 0, "\(result.errors)")
            #expect(!result.errors.contains("\r") && !result.errors.contains("\u{1B}"))
            let lines = result.errors.split(separator: "\n").filter { $0.hasPrefix("job-1") }
            // The first and the last, and between them one every ten seconds.
            #expect((1...2 + seconds / 10).contains(lines.count), "\(seconds) s: \(result.errors)")
            #expect(lines.last?.contains("100 %  done in ") == true)
        }

        /// Standard error that ends early, full outputs, and closed outputs.
        @Test(arguments: [
            "\"$@\" 2>&1 | head -1; exit ${PIPESTATUS[0]}", "\"$@\" >/dev/full 2>/dev/full", "\"$@\" >&- 2>&- <&-",
            "\"$@\" 2>&1 | true; exit ${PIPESTATUS[0]}",
        ])
        func `progress that nobody reads ends neither the job nor its tidying up`(script: String) async throws {
            let shell = try RunningProgram(
                "/bin/bash", ["-c", script, "bash", Programs.client] + arguments, name: "shell", in: model.directory)
            let code = try await shell.exitCode()
            // A summary that could not be written is an error. A summary that nobody wants is not.
            #expect(code == (script.contains("full") ? 1 : 0), "\(shell.logTail)")
            #expect(FileManager.default.fileExists(atPath: "\(output)/report.json"))
            #expect(try state.names() == [])
        }

        @Test func `a run that is ended while it starts leaves nothing`() async throws {
            for _ in 0..<5 {
                let client = try RunningProgram(Programs.client, arguments, name: "run", in: model.directory)
                try await eventually("the state's directory", finding: client.logTail) {
                    try !client.isRunning || self.state.names().contains { $0.hasPrefix("kfacd-run-") }
                }
                client.send(SIGHUP)
                let code = try await client.exitCode()
                #expect(try state.names() == [])
                if code == 0 {
                    // The run was faster than this test.
                    try FileManager.default.removeItem(atPath: output)
                    continue
                }
                #expect(code == 130, "\(client.logTail)")
                #expect(!FileManager.default.fileExists(atPath: output))
                return
            }
            Issue.record("five runs were over before they could be ended")
        }

        // MARK: - A full disk

        private func startOnSmallDisk(patience: Int) async throws -> (RunningProgram, ballast: URL) {
            let path = state.appending("disk")
            let command =
                SmallDisk.launcher(for: path, mebibytes: 24)
                + [
                    Programs.client, "run", job, "--workers", "1", "--state-directory", path, "--patience",
                    "\(patience)",
                ]
            let client = try RunningProgram(
                command[0], Array(command.dropFirst()), name: "run", in: model.directory)
            try await eventually("a run", finding: client.logTail) {
                guard client.isRunning else { throw WaitError(description: client.logTail) }
                return client.errors.contains("job-1")
            }
            let ballast = try SmallDisk.fill(path, of: client)
            try await eventually("a pause", finding: client.logTail) {
                guard client.isRunning else { throw WaitError(description: client.logTail) }
                return client.errors.contains("job-1 is paused: ")
            }
            return (client, ballast)
        }

        @Test(.enabled(if: SmallDisk.isPossible, SmallDisk.reason))
        func `a job that waits for room says so, and is given up when the patience is at its end`() async throws {
            let (client, _) = try await startOnSmallDisk(patience: 2)
            #expect(try await client.exitCode() == 1, "\(client.logTail)")
            #expect(client.errors.contains("given up after 2 s without progress (--patience)"), "\(client.errors)")
            #expect(client.errors.contains("error: job-1: paused for 2 s without progress: "), "\(client.errors)")
            #expect(!FileManager.default.fileExists(atPath: "\(output)/report.json"))
        }

        @Test(.enabled(if: SmallDisk.isPossible, SmallDisk.reason))
        func `a job that waits for room goes on when there is some`() async throws {
            let (client, ballast) = try await startOnSmallDisk(patience: 300)
            try FileManager.default.removeItem(at: ballast)
            #expect(try await client.exitCode() == 0, "\(client.logTail)")
            #expect(client.errors.contains("job-1 goes on"), "\(client.errors)")
            // Each attempt names another file. The cause without paths and numbers tells what repeats.
            let pauses = client.errors.split(separator: "\n").filter { $0.contains("job-1 is paused: ") }.map { line in
                line.split(separator: " ").filter { !$0.contains("/") && !$0.contains(where: \.isNumber) }
            }
            #expect(Set(pauses).count == pauses.count, "\(client.errors)")
        }
    }
}
