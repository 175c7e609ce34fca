import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// `plan` and the first step of `run`, which need no daemon.
    @Suite struct JobCheckTests {
        private let model: SmallModel
        /// A copy of `kfacctl` in a directory without `kfacd`.
        private let lonely: String

        init() throws {
            model = try SmallModel()
            lonely = model.directory.appending("bin/kfacctl")
            try FileManager.default.createDirectory(
                atPath: model.directory.appending("bin"), withIntermediateDirectories: true)
            try FileManager.default.copyItem(atPath: Programs.client, toPath: lonely)
        }

        private func alone(_ arguments: String...) async throws -> CommandResult {
            let program = try RunningProgram(
                lonely, arguments, name: "alone-\(UUID().uuidString)", in: model.directory,
                environment: ["PATH": "/nonexistent", "TMPDIR": model.directory.appending("missing")])
            let code = try await program.exitCode()
            return CommandResult(exitCode: code, output: program.output, errors: program.errors)
        }

        @Test func `a plan needs no daemon and no place for its state`() async throws {
            let before = OutputTree.paths(below: model.directory.path)
            let result = try await alone("plan", model.jobPath)
            #expect(result.exitCode == 0, "\(result.errors)")
            #expect(result.output.hasPrefix("3 tasks, 4 layers and 1 other parameters with factors\n"))
            let added = Set(OutputTree.paths(below: model.directory.path)).subtracting(before)
            #expect(added.allSatisfy { $0.hasPrefix("alone-") }, "\(added)")
        }

        /// The stages of a plan's JSON text, or the lines of its table that do not predict.
        ///
        /// - Throws: What Foundation throws for another text.
        private func planned(_ plan: CommandResult, _ format: String) throws -> String {
            guard format == "table" else {
                let stages = try #require(plan.json["stages"] as? [[String: Any]])
                let data = try JSONSerialization.data(withJSONObject: stages, options: .sortedKeys)
                return String(decoding: data, as: UTF8.self)
            }
            let lines = plan.output.split(separator: "\n", omittingEmptySubsequences: false)
            return lines.filter { !$0.hasPrefix("time: ") && !$0.hasPrefix("disk") }.joined(separator: "\n")
        }

        @Test func `a plan is the same with and without a coordinator`() async throws {
            try await Cluster.with { cluster in
                for format in ["table", "json"] {
                    let asked = try await cluster.client("plan", model.jobPath, "--output", format)
                    let own = try await alone("plan", model.jobPath, "--output", format)
                    #expect(own.exitCode == 0 && asked.exitCode == 0, "\(own.errors) \(asked.errors)")
                    // Only this machine's rates are known, so only its own plan predicts.
                    #expect(try planned(own, format) == planned(asked, format))
                    if format == "table" {
                        #expect(asked.output.contains("\ntime: not predicted, because the rates of the cluster's"))
                    }
                    #expect(own.errors == asked.errors)
                }
            }
        }

        @Test func `a plan predicts time and disk by rates that are measured once`() async throws {
            let caches = try TemporaryDirectory()
            func plan(_ options: String..., caches place: String? = nil) async throws -> CommandResult {
                let result = try await Client.run(
                    ["plan", model.jobPath] + options, in: model.directory,
                    environment: ["XDG_CACHE_HOME": place ?? caches.path])
                try #require(result.exitCode == 0, "\(result.errors)")
                return result
            }
            func measuredAt() async throws -> Double {
                let time = try await plan("--output", "json").json["time"] as? [String: Any]
                #expect(try #require(time?["seconds"] as? Double) > 0)
                return try #require(time?["measured_at"] as? Double)
            }
            let table = try await plan().output
            #expect(table.contains(#/\ntime: about \S+ (s|min|h) on this machine \(\d+ lanes?; /#))
            #expect(table.contains(", by rates measured at 20"))
            #expect(table.contains(#/\ndisk: \S+ \S+ of outputs, staged in their directory \(.* free\)\n/#))
            #expect(table.contains(#/\ndisk while it runs: at most \S+ \S+ of the workers' results and /#))
            let directory = caches.appending("kfacd")
            let files = try FileManager.default.contentsOfDirectory(atPath: directory)
            #expect(files.count == 1 && files.allSatisfy { $0.hasPrefix("rates-") }, "\(files)")
            let first = try await measuredAt()
            #expect(try await measuredAt() == first)
            // A user may ask for new rates, and a damaged file has none.
            _ = try await plan("--measure")
            let second = try await measuredAt()
            #expect(second != first)
            try Data("{".utf8).write(to: URL(fileURLWithPath: "\(directory)/\(files[0])"))
            let third = try await measuredAt()
            #expect(third != second)
            #expect(try await measuredAt() == third)
            // A place that cannot be written is no error.
            #expect(try await plan(caches: "/proc/none").output.contains("\ntime: about "))
        }

        @Test(arguments: ["task_arithmetic", "karcher", "tsv_m", "kfac"])
        func `the pace of a merge is measured once`(method: String) async throws {
            let caches = try TemporaryDirectory()
            model.job.outputs = ["merged"]
            model.job.method = method
            try model.write()
            func paces() async throws -> [String] {
                let plan = try await Client.run(
                    ["plan", model.jobPath], in: model.directory, environment: ["XDG_CACHE_HOME": caches.path])
                try #require(plan.exitCode == 0, "\(plan.errors)")
                let directory = caches.appending("kfacd")
                let files = try FileManager.default.contentsOfDirectory(atPath: directory)
                let data = try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(try #require(files.first))"))
                let record = try JSONSerialization.jsonObject(with: data) as? [String: Any]
                let merges = (record?["rates"] as? [String: Any])?["merges"] as? [String: [String: Double]] ?? [:]
                return merges.map { "\($0.key) \($0.value["seconds"] ?? 0)" }.sorted()
            }
            let first = try await paces()
            #expect(!first.isEmpty)
            #expect(first.allSatisfy { $0.hasPrefix("\(method): ") })
            #expect(try await paces() == first)
        }

        @Test func `a bad job is refused with the same words everywhere, and run starts no daemon for it`() async throws
        {
            model.job.tasks[0].model = "checkpoints/alpah.safetensors"
            model.job.tasks[1].captures.append("captures/none-*.safetensors")
            try model.write()
            let run = try await alone("run", model.jobPath)
            #expect(run.exitCode == 2)
            #expect(run.errors.split(separator: "\n").count == 3, "\(run.errors)")
            #expect(try await alone("plan", model.jobPath).errors == run.errors)
            try await Cluster.with { cluster in
                for command in ["plan", "submit"] {
                    let result = try await cluster.client(command, model.jobPath)
                    #expect(result.exitCode == 2)
                    #expect(result.errors == run.errors)
                }
            }
        }

        @Test func `a good job is checked before the daemons are missed`() async throws {
            let result = try await alone("run", model.jobPath)
            #expect(result.exitCode == 1)
            #expect(
                result.errors.hasPrefix("error: the program \"kfacd\" is neither beside kfacctl"), "\(result.errors)")
        }

        @Test func `a plan that takes too long is given up after its time`() async throws {
            try model.makeCheckSlow()
            let result = try await alone("plan", model.jobPath, "--timeout", "1")
            #expect(result.exitCode == 1)
            #expect(
                result.errors
                    == "error: the check of the job file: the check was given up after 1.0 seconds.\n")
        }

        @Test(arguments: [SIGINT, SIGTERM]) func `a plan is interrupted at once`(signal: Int32) async throws {
            try model.makeCheckSlow()
            let plan = try RunningProgram(
                Programs.client, ["plan", model.jobPath], name: "plan", in: model.directory)
            try await model.waitForCheck(by: plan)
            plan.send(signal)
            #expect(try await plan.exitCode() == 128 + signal, "\(plan.logTail)")
        }

        @Test func `a plan that takes long shows its progress on a terminal`() async throws {
            try model.makeCheckSlow()
            let terminal = try PseudoTerminal(columns: 120)
            defer { terminal.close() }
            let process = Process()
            process.executableURL = URL(fileURLWithPath: Programs.client)
            process.arguments = ["plan", model.jobPath]
            process.environment = ProcessInfo.processInfo.environment.merging(["TERM": "xterm"]) { $1 }
            process.standardError = terminal.device
            try process.run()
            defer { kill(process.processIdentifier, SIGKILL) }
            try await eventually("progress", finding: terminal.text) {
                terminal.text.contains("checking the job file: reading the whole base for its digest (")
            }
        }
    }
}
