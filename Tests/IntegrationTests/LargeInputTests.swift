import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Inputs that are larger, longer or stranger than any normal input.
    @Suite struct LargeInputTests {
        private let model: SmallModel

        init() throws {
            model = try SmallModel()
            model.job.outputs = ["factors"]
        }

        /// A shell command that runs a coordinator with a limit on files and sockets.
        private func limited(to count: Int) -> [String] {
            ["/bin/sh", "-c", "ulimit -n \(count) && exec \"$0\" \"$@\""]
        }

        private func run(_ options: [String] = [], launcher: [String] = []) async throws -> CommandResult {
            try await Client.run(
                ["run", model.jobPath, "--workers", "1", "--quiet", "--state-directory", model.directory.path]
                    + options,
                in: model.directory, launcher: launcher)
        }

        @Test func `thousands of layers with one fault are one line with their number`() async throws {
            let tensors = (0..<3000).map { Tensor("layer \($0).input", [1, 1], [0]) }
            model.captures["alpha"] = TensorFile(
                tensors, metadata: ["format": "kfacd.capture/1", "samples": "1", "probes": "1"])
            try model.write()
            let result = try await Client.run(["plan", model.jobPath], in: model.directory)
            #expect(result.exitCode == 2)
            let lines = result.errors.split(separator: "\n")
            #expect(lines.count == 1, "\(lines.prefix(3))")
            #expect(lines.first?.contains("The same is true of 2999 more layers: ") == true, "\(lines.first ?? "")")
        }

        @Test func `a capture in a directory with brackets is found, by its path and by a pattern`() async throws {
            try FileManager.default.moveItem(
                atPath: model.directory.appending("captures"), toPath: model.directory.appending("run[1]"))
            model.captures = [:]
            for (index, name) in SmallModel.taskNames.enumerated() {
                model.job.tasks[index].captures = ["\"run[1]/\(index == 0 ? "alph*" : name).safetensors\""]
            }
            try model.write()
            let result = try await run()
            #expect(result.exitCode == 0, "\(result.errors)")
        }

        @Test func `more captures than descriptors are no obstacle`() async throws {
            let capture = try #require(model.captures["alpha"])
            for number in 0..<300 {
                var part = capture
                // Equal parts would hold the same samples twice.
                part.tensors = part.tensors.map { tensor in
                    Tensor(tensor.name, tensor.shape, tensor.values.map { Float($0) + Float(number) / 64 })
                }
                try part.write(to: model.directory.appending("captures/many/\(number).safetensors"))
            }
            model.job.tasks = [
                JobFile.Task(name: "alpha", model: "checkpoints/alpha.safetensors", captures: ["captures/many/*"])
            ]
            try model.write()
            let result = try await run(launcher: limited(to: 160))
            #expect(result.exitCode == 0, "\(result.errors)")
        }

        @Test func `what was inherited beyond the limit of descriptors keeps no program from being started`()
            async throws
        {
            let shell = [
                "/bin/bash", "-c", "exec 300</dev/null; ulimit -n 200; exec \"$0\" \"$@\"", Programs.client, "run",
                model.jobPath, "--workers", "1", "--quiet",
            ]
            let program = try RunningProgram(
                shell[0], Array(shell.dropFirst()), name: "inherited-\(UUID().uuidString)", in: model.directory)
            #expect(try await program.exitCode() == 0, "\(program.errors)")
        }

        @Test(arguments: [12, 40, 90])
        func `too few descriptors to work with are one sentence with the remedy`(count: Int) async throws {
            for command in [
                [Programs.client, "run", model.jobPath], [Programs.daemon, "worker", "--coordinator", "x"],
            ] {
                let shell = limited(to: count) + command
                let program = try RunningProgram(
                    shell[0], Array(shell.dropFirst()), name: "limited-\(UUID().uuidString)", in: model.directory)
                #expect(try await program.exitCode() == 2)
                #expect(program.errors.split(separator: "\n").count == 1, "\(program.errors)")
                #expect(program.errors.contains("this process may have \(count) files and sockets open; at least 96"))
                #expect(program.errors.contains("ulimit -n 4096"))
            }
        }

        @Test func `a job file that is none by its size is refused before it is read`() async throws {
            let large = model.directory.appending("large.yaml")
            try Data().write(to: URL(fileURLWithPath: large))
            try #require(truncate(large, 1 << 30) == 0)
            let problems = [
                (large, "has 1073741824 bytes; at most 262144 are allowed for such a file. Is it the right one?"),
                (
                    "/dev/zero",
                    "is a pipe or a device; expected a file, since the paths in a job start at its directory. Write the "
                        + "job to a file first."
                ),
            ]
            for (path, problem) in problems {
                let result = try await Client.run(["plan", path], in: model.directory)
                #expect(result.exitCode == 2)
                #expect(result.errors == "error: \(path): \(problem)\n")
            }
        }

        @Test func `names that control a terminal are shown as escapes`() async throws {
            let names = ["\u{1B}[2Jx", "a\u{202E}b", "c\u{9B}d", "e\u{7F}"]
            let file = TensorFile(names.map { Tensor($0.replacing("\u{1B}", with: "\\u001b"), [1], [0]) })
            let path = model.directory.appending("odd.safetensors")
            try file.write(to: path)
            for options in [[], ["--output", "json"]] {
                let result = try await Client.run(["inspect", path] + options, in: model.directory)
                #expect(result.exitCode == 0, "\(result.errors)")
                for control in ["\u{1B}", "\u{202E}", "\u{9B}", "\u{7F}"] {
                    #expect(!result.output.contains(control))
                }
            }
            let json = try await Client.run(["inspect", path, "--output", "json"], in: model.directory).json
            let groups = try #require(json["groups"] as? [[String: Any]])
            #expect(Set(groups.compactMap { $0["name"] as? String }).isSuperset(of: ["\u{1B}[2Jx", "a\u{202E}b"]))
        }
    }

    /// Patterns of a client that may only read, at a coordinator with roots.
    @Suite struct PatternTests {
        @Test func `patterns neither leave the roots nor keep others waiting`() async throws {
            let model = try SmallModel()
            for number in 0..<30 {
                try FileManager.default.createDirectory(
                    atPath: model.directory.appending("outside/\(number)/x"), withIntermediateDirectories: true)
            }
            let root = model.directory.appending("root")
            try FileManager.default.createDirectory(atPath: "\(root)/captures", withIntermediateDirectories: true)
            try model.base.write(to: "\(root)/base.safetensors")
            func job(_ pattern: String) -> String {
                "merge_method: kfac\nbase_model: \(root)/base.safetensors\nmodels:\n  - name: t\n    captures: \(pattern)\n"
                    + "outputs: [factors]\noutput: \(root)/out\n"
            }
            let endless = String(repeating: "/.?/*", count: 10)
            try await Cluster.with(options: ["--root", root]) { cluster in
                for (name, pattern) in [("out", "/captures/.?/outside/*"), ("endless", "/captures\(endless)/x")] {
                    try model.directory.write(Array(job(root + pattern).utf8), to: "\(name).yaml")
                    let result = try await cluster.client("plan", model.directory.appending("\(name).yaml"))
                    #expect(result.exitCode == 2)
                    #expect(result.errors.contains("matches no file"), "\(result.errors)")
                    #expect(!result.errors.contains("outside/0"))
                }
            }
        }
    }
}
