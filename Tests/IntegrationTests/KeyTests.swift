import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// Daemons that other machines reach: the rights of keys, and early refusals.
    @Suite(
        .enabled(if: GuardedCluster.address != nil, "this machine has no address but loopback"),
        .timeLimit(.minutes(5)))
    struct KeyTests {
        private let model: SmallModel

        init() throws { model = try SmallModel() }

        @Test func `a job over a real address with keys gives the bytes of one over loopback`() async throws {
            try await model.run()
            let reference = model.directory.appending("reference")
            try FileManager.default.moveItem(atPath: model.outputPath, toPath: reference)
            let cluster = try await GuardedCluster(
                holders: ["near": ["worker"], "far": ["worker"], "boss": ["submitter"], "ci": ["reader"]])
            try await cluster.startCoordinator(roots: [model.directory.path])
            // One worker reads the files at their paths. The other may read none, so they are streamed to it.
            try cluster.startWorker(key: "near", options: ["--root", model.directory.path])
            try cluster.startWorker(key: "far")
            try await eventually("two workers", finding: cluster.logs) {
                try await cluster.workers(as: "ci").count == 2
            }
            let result = try await cluster.client("boss", "submit", model.jobPath, "--watch")
            try #require(result.exitCode == 0, "\(result.errors)\n\(cluster.logs)")
            let job = result.output.trimmingCharacters(in: .whitespacesAndNewlines)
            let copy = model.directory.appending("copy")
            let fetched = try await cluster.client("ci", "fetch", job, copy)
            try #require(fetched.exitCode == 0, "\(fetched.errors)")
            try requireSameBytes(copy, model.outputPath)
            let files = OutputTree.paths(below: reference)
            #expect(OutputTree.paths(below: copy) == files)
            for file in files where !file.hasPrefix("report.") {
                let (found, expected) = (try read("\(copy)/\(file)"), try read("\(reference)/\(file)"))
                #expect(found == expected, "\(file)")
            }
        }

        private func read(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

        @Test func `a reader cannot submit or cancel, and a client key cannot work`() async throws {
            let cluster = try await GuardedCluster(holders: ["boss": ["submitter"], "ci": ["reader"]])
            let coordinator = try await cluster.startCoordinator(roots: [model.directory.path])
            let file = "\(cluster.directory.path)/authorized/ci.public"
            for (command, action) in [("submit", "submitting"), ("cancel", "cancelling")] {
                let argument = command == "submit" ? model.jobPath : "job-1"
                let result = try await cluster.client("ci", command, argument)
                #expect(result.exitCode == 2)
                #expect(
                    result.errors
                        == "error: the key \"ci\": it has the role reader; \(action) needs submitter: add the line "
                        + "\"role submitter\" to \(file) of the coordinator and reload it.\n")
            }
            #expect(try await cluster.client("ci", "jobs").exitCode == 0)
            let worker = try cluster.startWorker(key: "boss")
            #expect(try await worker.exitCode() == 1)
            #expect(
                worker.errors.contains("the key \\\"boss\\\": it has the role submitter; working needs worker"),
                "\(worker.errors)")
            #expect(try await cluster.workers(as: "ci") == [])
            #expect(coordinator.isRunning)
        }

        @Test func `an unknown key, a wrong server key and no key never get a word in`() async throws {
            let cluster = try await GuardedCluster(holders: ["stranger": [], "ci": ["reader"]])
            let coordinator = try await cluster.startCoordinator(roots: [model.directory.path])
            let endpoint = cluster.endpoint
            let start = ContinuousClock.now
            for _ in 0..<2 {
                let refused = try await cluster.client("stranger", "jobs")
                #expect(refused.exitCode == 2)
                #expect(
                    refused.errors
                        == "error: the coordinator at \(endpoint) does not know this key. Put its public file, with a "
                        + "role, into the coordinator's directory of authorized keys, and reload the coordinator.\n")
            }
            let worker = try cluster.startWorker(key: "stranger")
            #expect(try await worker.exitCode() == 1)
            #expect(worker.errors.contains("does not know this key"), "\(worker.logTail)")
            let wrong = try await Client.run(
                [
                    "jobs", "--coordinator", endpoint, "--secret-key", cluster.secret("ci"), "--server-key",
                    cluster.directory.appending("keys/ci.public"),
                ], in: cluster.directory)
            #expect(wrong.exitCode == 2)
            #expect(
                wrong.errors
                    == "error: the coordinator at \(endpoint) ends every connection before the first message. "
                    + "Either the keys do not match: check that --server-key is its public key, and that keys are given "
                    + "on both sides or on neither. Or it has too many connections: then its log says how many ended "
                    + "unheard.\n")
            // The known key was answered, so the log is complete by now.
            #expect(try await cluster.client("ci", "jobs").exitCode == 0)
            let lines = coordinator.errors.split(separator: "\n").filter { $0.contains("an unknown key was refused") }
            // A key is told once a minute.
            let minutes = Int((ContinuousClock.now - start) / .seconds(60))
            #expect((1...1 + minutes).contains(lines.count), "\(coordinator.errors)")
            #expect(!coordinator.errors.contains("a message was refused"))
        }

        @Test func `a key that is removed and reloaded is refused from its next message on`() async throws {
            let cluster = try await GuardedCluster(
                holders: ["gpu": ["worker"], "ci": ["reader"], "other": ["reader"]])
            let coordinator = try await cluster.startCoordinator(roots: [model.directory.path])
            let worker = try cluster.startWorker(key: "gpu")
            try await eventually("a worker", finding: cluster.logs) { try await cluster.workers(as: "ci").count == 1 }
            // The file is not a key file, so the reload fails and nothing changes.
            try Data("nonsense\n".utf8).write(
                to: URL(fileURLWithPath: cluster.directory.appending("authorized/bad.public")))
            coordinator.send(SIGHUP)
            try await eventually("a failed reload", finding: coordinator.logTail) {
                coordinator.errors.contains("authorized keys could not be reloaded; the old ones stay")
            }
            #expect(
                coordinator.errors.contains("authorized/bad.public:1: has one word; expected a keyword and a value."))
            #expect(try await cluster.workers(as: "ci").count == 1)
            for name in ["bad", "gpu", "ci"] { try cluster.directory.remove("authorized/\(name).public") }
            coordinator.send(SIGHUP)
            try await eventually("a reload", finding: coordinator.logTail) {
                coordinator.errors.contains("authorized keys reloaded")
            }
            // The connected worker's next heartbeat is refused, and the worker ends.
            #expect(try await worker.exitCode() == 1)
            #expect(worker.errors.contains("this key: it is not authorized (any more)"), "\(worker.errors)")
            #expect(try await cluster.workers(as: "other") == [])
            #expect(try await cluster.client("ci", "jobs").exitCode == 2)
        }

        @Test func `a coordinator that other machines reach takes keys and roots`() async throws {
            let address = try #require(GuardedCluster.address)
            let result = try await daemon("coordinator", "--bind", "tcp://\(address):0")
            #expect(result.exitCode == 2)
            #expect(
                result.errors
                    == "error: tcp://\(address):0: other machines reach it, and anybody who reaches this address could "
                    + "submit jobs and read files; missing: --secret-key FILE, --authorized-keys DIRECTORY, --root "
                    + "DIRECTORY. To go on, make the coordinator's key with \"kfacctl keygen coordinator\", one with a "
                    + "role for each peer, put their .public files into a directory, and say below which directories "
                    + "jobs may read and write; or listen on tcp://127.0.0.1:PORT or ipc://PATH.\n")
            #expect(!FileManager.default.fileExists(atPath: model.directory.appending("state")))
        }

        @Test func `a worker and a client of a coordinator elsewhere take keys`() async throws {
            let worker = try await daemon("worker", "--coordinator", "tcp://192.0.2.77:7733")
            #expect(worker.exitCode == 2)
            #expect(
                worker.errors
                    == "error: tcp://192.0.2.77:7733: other machines reach it, and anybody between could read what is "
                    + "sent, or pose as the coordinator; missing: --server-key FILE, --secret-key FILE. To go on, copy "
                    + "the coordinator's .public file here, make a key with \"kfacctl keygen NAME --role worker\", and "
                    + "have its .public file put into the coordinator's directory of authorized keys.\n")
            let client = try await Client.run(
                ["jobs", "--coordinator", "tcp://192.0.2.77:7733"], in: model.directory)
            #expect(client.exitCode == 2)
            #expect(
                client.errors
                    == "error: tcp://192.0.2.77:7733: needs keys; missing: --server-key FILE, --secret-key "
                    + "FILE. Copy the coordinator's .public file here, make a key with \"kfacctl keygen NAME --role "
                    + "submitter\", and have its .public file put into the coordinator's directory of authorized keys.\n"
            )
        }

        @Test func `a secret key that others can read is refused by every program`() async throws {
            let cluster = try await GuardedCluster(holders: ["boss": ["submitter"]])
            let file = cluster.secret("boss")
            try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: file)
            let message =
                "\(file): others than its owner can read the secret key (mode 0640); expected mode 0600. Run \"chmod 600 "
                + "\(file)\"; if others may have read it, make a new key.\n"
            let worker = try await daemon(
                "worker", "--coordinator", "tcp://192.0.2.77:1", "--secret-key", file, "--server-key", cluster.serverKey
            )
            #expect((worker.exitCode, worker.errors) == (2, "error: " + message))
            let client = try await Client.run(
                [
                    "jobs", "--coordinator", "tcp://192.0.2.77:1", "--secret-key", file, "--server-key",
                    cluster.serverKey,
                ], in: model.directory)
            #expect((client.exitCode, client.errors) == (2, "error: " + message))
        }

        /// Runs a daemon that must not start.
        private func daemon(_ arguments: String...) async throws -> CommandResult {
            let program = try RunningProgram(
                Programs.daemon, arguments + ["--end-with-input"], name: "refused", in: model.directory)
            let code = try await program.exitCode()
            return CommandResult(exitCode: code, output: program.output, errors: program.errors)
        }
    }
}
