import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Limits of the system, and the messages when a limit is reached.
    @Suite struct SystemLimitTests {
        private let model: SmallModel

        init() throws { model = try SmallModel() }

        private func run(_ prefix: String, _ command: [String]) async throws -> (code: Int32, program: RunningProgram) {
            let shell = try RunningProgram(
                "/bin/bash", ["-c", "\(prefix) exec \"$@\"", "bash"] + command, name: "shell-\(UUID().uuidString)",
                in: model.directory, environment: ["TMPDIR": model.directory.path])
            return (try await shell.exitCode(), shell)
        }

        private var job: [String] {
            [
                Programs.client, "run", model.jobPath, "--workers", "1", "--quiet", "--log-level", "notice",
                "--state-directory", model.directory.path,
            ]
        }

        @Test func `a worker has one lane for each processor of the mask`() async throws {
            let (code, program) = try await run("", ["/usr/bin/taskset", "-c", "0"] + job)
            #expect(code == 0, "\(program.logTail)")
            #expect(program.errors.contains(" lanes=1 "), "\(program.errors)")
        }

        @Test func `a limit of the address space bounds the memory of units`() async throws {
            let (code, program) = try await run("ulimit -v 4000000;", job)
            #expect(code == 0, "\(program.logTail)")
            let field = try #require(
                program.errors.split(separator: " ").first { $0.hasPrefix("memory_mib=") }, "\(program.errors)")
            #expect(try #require(Int(field.dropFirst("memory_mib=".count))) < 4_000_000 / 1024)
        }

        @Test func `files that may not grow are an error with words and no signal`() async throws {
            let (code, program) = try await run("ulimit -f 1;", job)
            #expect(code == 1 || code == 2, "\(program.logTail)")
            #expect(!FileManager.default.fileExists(atPath: "\(model.outputPath)/report.json"))
        }

        /// Limits that are too small for the work, with the words that the sentence must have.
        private static let tight = [
            ("ulimit -v 300000", "ulimit -v"), ("ulimit -v 500000", "ulimit -v"), ("ulimit -v 800000", "ulimit -v"),
            ("ulimit -d 100000", "ulimit -d"), ("ulimit -s 64", "ulimit -s"), ("ulimit -f 1", "ulimit -f"),
        ]

        @Test(arguments: tight)
        func `a limit that is too small is one sentence that names it`(limit: String, name: String) async throws {
            let (code, program) = try await run("\(limit);", job)
            #expect(code == 1, "\(program.logTail)")
            let lines = program.errors.split(separator: "\n")
            #expect(lines.count == 1, "\(program.errors)")
            #expect(program.errors.hasPrefix("error: ") && program.errors.contains(name), "\(program.errors)")
        }

        @Test(arguments: tight.filter { $0.1 != "ulimit -f" }, ["coordinator", "worker"])
        func `a daemon says the same of its own limits`(limit: (String, String), role: String) async throws {
            let (code, program) = try await run("\(limit.0);", [Programs.daemon, role, "--http", "off"])
            #expect(code == 1, "\(program.logTail)")
            #expect(program.errors.split(separator: "\n").count == 1, "\(program.errors)")
            #expect(program.errors.contains(limit.1), "\(program.errors)")
        }

        @Test(.enabled(if: Blindness.isPossible, Blindness.reason), arguments: [1, 4, 12, 30])
        func `too few processes are one sentence, whoever asks`(count: Int) async throws {
            let command = Blindness.launcher + ["/bin/bash", "-c", "ulimit -u \(count); exec \"$@\"", "bash"]
            let (code, program) = try await run("chmod 777 .;", command + job)
            #expect(code == 1, "\(program.logTail)")
            #expect(program.errors.split(separator: "\n").count == 1, "\(program.errors)")
            #expect(program.errors.contains("ulimit -u"), "\(program.errors)")
        }

        @Test func `a pipe is no configuration, and nobody waits for its writer`() async throws {
            let (code, program) = try await run(
                "mkfifo pipe;", [Programs.daemon, "coordinator", "--config", model.directory.appending("pipe")])
            #expect(code == 2)
            #expect(program.errors.contains("no regular file"), "\(program.errors)")
        }

        @Test func `a variable that cannot be is a sentence, and not the usage`() async throws {
            let (code, program) = try await run(
                "export KFACD_HEARTBEAT=often;", [Programs.daemon, "coordinator"])
            #expect(code == 2)
            #expect(program.errors.contains("KFACD_HEARTBEAT"), "\(program.errors)")
            #expect(!program.errors.contains("Usage"), "\(program.errors)")
        }

        @Test func `a state directory whose links lead in a circle is told in words`() async throws {
            var command = coordinator("tcp://127.0.0.1:0")
            command[command.count - 1] = model.directory.appending("circle")
            let (code, program) = try await run("ln -s circle circle;", command)
            #expect(code == 1)
            #expect(program.errors.contains("its links lead in a circle"), "\(program.errors)")
            #expect(program.errors.contains("--state-directory"), "\(program.errors)")
        }

        @Test func `a daemon that ends at its start is reported with what it said`() async throws {
            // A regular file has the name of the coordinator's state directory.
            try model.directory.write([], to: "taken")
            var command = job
            command[command.count - 1] = model.directory.appending("taken")
            let (code, program) = try await run("", command)
            #expect(code == 1)
            let place = model.directory.appending("taken")
            #expect(
                program.errors
                    == "error: \(place): the directory cannot be made: a part of the path is no directory. Name another "
                    + "place with --state-directory.\n")
        }

        @Test func `a directory for temporary files that is none is named with its setting`() async throws {
            let missing = model.directory.appending("missing")
            let client = try await Client.run(
                ["run", model.jobPath], in: model.directory, environment: ["TMPDIR": missing])
            #expect(client.exitCode == 1)
            #expect(client.errors.contains(missing) && client.errors.contains("TMPDIR"), "\(client.errors)")
            #expect(!client.errors.contains("Error Domain"))
        }

        @Test func `a working directory of more than a thousand bytes works`() async throws {
            let part = String(repeating: "d", count: 200)
            let deep = ([model.directory.path] + Array(repeating: part, count: 6)).joined(separator: "/")
            let script =
                "mkdir -p \(deep); cp -r \(model.directory.path)/[bcj]* \(deep); cd \(deep); "
            let (code, program) = try await run(
                script,
                [
                    Programs.client, "run", "job.yaml", "--workers", "1", "--quiet", "--state-directory",
                    model.directory.path,
                ])
            #expect(code == 0, "\(program.logTail)")
            #expect(FileManager.default.fileExists(atPath: "\(deep)/out/report.json"))
        }

        @Test func `a name that is not UTF-8 is told as such`() async throws {
            let script = "mkdir $'x\\xff'; cp -r [bcj]* $'x\\xff'; cd $'x\\xff'; "
            let (code, program) = try await run(script, [Programs.client, "run", "job.yaml", "--quiet"])
            #expect(code == 2)
            #expect(program.errors.contains("is not UTF-8 text"), "\(program.errors)")
        }

        // MARK: - Endpoints

        private func coordinator(_ endpoint: String) -> [String] {
            [
                Programs.daemon, "coordinator", "--bind", endpoint, "--http", "off", "--state-directory",
                model.directory.appending("state"),
            ]
        }

        @Test(arguments: ["localhost", "some-host.example"])
        func `a name to listen at is refused with what to write`(host: String) async throws {
            var command = coordinator("tcp://\(host):0")
            if host != "localhost" { command += ["--root", "/"] }
            let (code, program) = try await run("", command)
            #expect(code == 2)
            #expect(program.errors.contains("name an address, such as 127.0.0.1"), "\(program.errors)")
        }

        @Test func `an endpoint that cannot be listened at is told in words`() async throws {
            try model.directory.write([1], to: "file")
            let file = model.directory.appending("file")
            for (endpoint, words) in [
                ("ipc://\(file)", "\(file) is there already and is no socket"),
                ("ipc://\(file)-no/socket", "there is no directory \(file)-no"),
                ("tcp://127.0.0.1:99999", "the port is not a number"),
            ] {
                let (code, program) = try await run("", coordinator(endpoint))
                #expect(code == (endpoint.hasPrefix("tcp") ? 2 : 1), "\(program.logTail)")
                #expect(program.errors.contains(words), "\(program.errors)")
                #expect(!program.errors.contains("errno"), "\(program.errors)")
            }
            #expect(try model.directory.read("file") == [1])
        }

        @Test(arguments: ["ipc://none", "tcp://no-such-host.invalid:7733"])
        func `a worker whose coordinator cannot be found says so at once, and waits`(endpoint: String) async throws {
            var command = [
                Programs.daemon, "worker", "--coordinator",
                endpoint.replacing("none", with: "\(model.directory.path)/none"),
                "--http", "off", "--patience", "3600", "--end-with-input",
            ]
            if endpoint.hasPrefix("tcp") {
                for name in ["other", "own"] {
                    let made = try await Client.run(["keygen", name, "--role", "worker"], in: model.directory)
                    try #require(made.exitCode == 0, "\(made.errors)")
                }
                command += ["--server-key", model.directory.appending("other.public")]
                command += ["--secret-key", model.directory.appending("own.secret")]
            }
            let worker = try RunningProgram(
                command[0], Array(command.dropFirst()), name: "worker", in: model.directory,
                environment: ["TMPDIR": model.directory.path])
            // A name server that does not answer is told after ten seconds.
            try await eventually("the cause", finding: worker.logTail) {
                guard worker.isRunning else { throw WaitError(description: worker.logTail) }
                return worker.errors.contains("waiting for it")
            }
            let words = endpoint.hasPrefix("tcp") ? "no-such-host.invalid" : "there is no socket"
            let line = worker.errors.split(separator: "\n").first { $0.contains("waiting for it") }
            #expect(line?.contains(words) == true, "\(worker.errors)")
            #expect(worker.isRunning)
        }

        @Test func `a client that can reach nobody says so at once`() async throws {
            for (endpoint, code, words): (String, Int32, String) in [
                ("ipc://\(model.directory.path)/none", 3, "there is no socket"),
                ("tcp://127.0.0.1:0", 2, "a port from 1 to 65535"), ("inproc://x", 2, "reaches only this process"),
                ("http://127.0.0.1:80", 2, "expected tcp://HOST:PORT"), ("tcp://127.0.0.1", 2, "has no port"),
            ] {
                // The timeout is longer than a test waits.
                let result = try await Client.run(
                    ["jobs", "--coordinator", endpoint, "--timeout", "3600"], in: model.directory)
                #expect(result.exitCode == code, "\(endpoint): \(result.errors)")
                #expect(result.errors.contains(words), "\(result.errors)")
            }
        }
    }
}
