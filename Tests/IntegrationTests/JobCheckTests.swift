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

        @Test func `a plan is the same with and without a coordinator`() async throws {
            try await Cluster.with { cluster in
                for format in ["table", "json"] {
                    let asked = try await cluster.client("plan", model.jobPath, "--output", format)
                    let own = try await alone("plan", model.jobPath, "--output", format)
                    #expect(own.exitCode == 0 && asked.exitCode == 0, "\(own.errors) \(asked.errors)")
                    #expect(own.output == asked.output)
                    #expect(own.errors == asked.errors)
                }
            }
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
