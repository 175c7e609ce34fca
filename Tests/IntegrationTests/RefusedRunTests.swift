import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Obstacles to a run other than its input: the output directory, memory, the coordinator, the user.
    @Suite struct RefusedRunTests {
        private let model: SmallModel

        init() throws { model = try SmallModel() }

        @Test func `an output directory that is not empty is left alone unless it may be overwritten`() async throws {
            model.job.outputs = ["merged", "report"]
            try model.write()
            try await model.run()
            try Data("kept".utf8).write(to: URL(fileURLWithPath: "\(model.outputPath)/notes.txt"))
            let before = try OutputTree(model.outputPath)
            try await model.expectRefusal(
                "job.yaml:", "the output directory \(model.outputPath) is not empty (it holds ", "--overwrite")
            #expect(try OutputTree(model.outputPath) == before)
            model.job.outputs = ["factors", "report"]
            try model.write()
            try await model.run(["--overwrite"])
            let expected =
                SmallModel.taskNames.map { "factors/\($0)/factors.safetensors" } + [
                    "notes.txt", "report.html", "report.json",
                ]
            #expect(OutputTree.paths(below: model.outputPath) == expected)
        }

        @Test func `a layer that is too large for every worker is named`() async throws {
            try await model.expectRefusal(
                "job.yaml: the ", " MiB of memory; the largest worker offers 1 MiB.", "--memory",
                options: ["--memory", "1"])
        }

        @Test func `bad usage is exit code 2`() async throws {
            for arguments in [
                ["run"], ["run", model.jobPath, "--worker", "2"], ["run", model.jobPath, "--memory", "0"],
                ["no-such-command"], ["status"],
            ] {
                let result = try await Client.run(arguments, in: model.directory)
                #expect(result.exitCode == 2, "\(arguments): \(result.errors)")
                #expect(!result.errors.isEmpty)
            }
        }

        @Test func `no coordinator at the address is exit code 3`() async throws {
            // Nobody listens on port 1.
            for command in [["jobs"], ["submit", model.jobPath], ["watch", "job-1"]] {
                let result = try await Client.run(
                    command + ["--timeout", "1", "--coordinator", "tcp://127.0.0.1:1"], in: model.directory)
                #expect(result.exitCode == 3, "\(command): \(result.errors)")
                #expect(result.errors.contains("no coordinator answered at tcp://127.0.0.1:1"), "\(result.errors)")
            }
        }

        @Test func `an unknown job is exit code 2`() async throws {
            try await Cluster.with { cluster in
                for command in ["status", "cancel", "watch"] {
                    let result = try await cluster.client(command, "job-9")
                    #expect(result.exitCode == 2, "\(command): \(result.errors)")
                    #expect(result.errors.contains("job-9: there is no such job. Known jobs: none."))
                }
            }
        }

        @Test func `an output directory that cannot be made is told before any work`() async throws {
            try Data("a file".utf8).write(to: URL(fileURLWithPath: model.directory.appending("taken")))
            model.job.output = "taken/out"
            try model.write()
            try await model.expectRefusal("job.yaml:11:9: ", model.directory.appending("taken"))
        }

        @Test func `a full standard output is an error and no crash`() async throws {
            let script = "\"$0\" inspect \"$1\" > /dev/full"
            let shell = try RunningProgram(
                "/bin/sh", ["-c", script, Programs.client, model.directory.appending("base.safetensors")],
                name: "shell",
                in: model.directory)
            #expect(try await shell.exitCode() == 1, "\(shell.logTail)")
        }

        @Test(arguments: [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGKILL])
        func `an interrupted run leaves no process and no file`(signal: Int32) async throws {
            let run = try await MiddleOfRun.held(workers: 2)
            defer { run.signalWorkers(SIGCONT) }
            // The client, the coordinator and two workers.
            try #require(run.processes.count == 4)
            run.client.send(signal)
            run.signalWorkers(SIGCONT)
            let code = try await run.client.exitCode()
            #expect(code == (signal == SIGKILL ? 128 + SIGKILL : 130), "\(run.client.errors)")
            // Daemons of a killed client see the end of their input. Other daemons have ended before the client.
            try await eventually("the end of the daemons", within: signal == SIGKILL ? .patience : .zero) {
                run.processes.isEmpty
            }
            if signal == SIGKILL {
                // The next run removes the files of a killed run.
                let next = try await Client.run(
                    ["run", model.jobPath, "--workers", "1", "--quiet"], in: model.directory,
                    environment: ["TMPDIR": run.statePath])
                #expect(next.exitCode == 0, "\(next.errors)")
                #expect(run.states == [])
            } else {
                #expect(run.leftovers == [])
            }
            #expect(run.strays == [])
        }

        @Test(arguments: ["worker", "coordinator"])
        func `a run whose daemons are killed ends with exit code 1 and leaves nothing`(kind: String) async throws {
            let run = try await MiddleOfRun.held(workers: 1)
            defer { run.signalWorkers(SIGCONT) }
            let doomed = try #require(run.processes.first { $0.value.contains(" \(kind) ") })
            kill(doomed.key, SIGKILL)
            run.signalWorkers(SIGCONT)
            #expect(try await run.client.exitCode() == 1, "\(run.client.logTail)")
            #expect(run.client.errors.contains("ended unexpectedly"), "\(run.client.errors)")
            #expect(run.processes.isEmpty)
            #expect(run.leftovers == [])
        }
    }
}
