import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// `kfaclab` with the daemon: captures, fine-tuning under the daemon's regularizer, measurements, the study.
    @Suite struct LabTests {
        private let lab: Laboratory

        init() throws { lab = try Laboratory() }

        private func names(_ path: String) throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: lab.directory.appending(path)).sorted()
        }

        private func rows(_ path: String) throws -> [[String: Any]] {
            let data = try Data(contentsOf: URL(fileURLWithPath: lab.directory.appending(path)))
            let file = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
            return try #require(file["rows"] as? [[String: Any]])
        }

        // MARK: - Captures, regularizers, fine-tuning

        @Test func `captures become a regularizer, under which a vector is fine-tuned`() async throws {
            try await lab.computeRegularizers()
            #expect(try names("captures") == ["alpha.safetensors", "beta.safetensors", "gamma.safetensors"])
            let result = try await lab.run(
                "finetune", "alpha", "--regularizer", Laboratory.regularizer(without: "alpha"), "--steps", "5",
                "--output", "vectors/alpha.safetensors")
            try #require(result.exitCode == 0, "\(result.errors)")
            #expect(result.output.hasPrefix("alpha: loss "), "\(result.output)")
            #expect(result.output.hasSuffix("\nvectors/alpha.safetensors\n"))
            let tuned = try TensorFile(reading: lab.directory.appending("vectors/alpha.safetensors"))
            let base = try TensorFile(reading: lab.directory.appending("data/base.safetensors"))
            #expect(tuned.tensors.map(\.name) == base.tensors.map(\.name))
            #expect(tuned.metadata["task"] == "alpha" && tuned.metadata["cfg"] == base.metadata["cfg"])
            for (found, frozen) in zip(tuned.tensors, base.tensors) {
                let isFrozen = ["patch.weight", "patch.bias", "pos_embed"].contains(found.name)
                #expect((found.bytes == frozen.bytes) == isFrozen, "\(found.name)")
            }
            let inspection = try await Client.run(["inspect", "vectors/alpha.safetensors"], in: lab.directory)
            #expect(inspection.exitCode == 0, "\(inspection.errors)")
        }

        @Test func `a regularizer pulls on the vector, and the same options give the same bytes`() async throws {
            try await lab.computeRegularizers()
            let penalty = ["--regularizer", Laboratory.regularizer(without: "beta"), "--beta"]
            for (name, options) in [("free", []), ("bound", penalty + ["100"]), ("again", penalty + ["100"])] {
                let program = try lab.start(
                    [
                        "finetune", "beta", "--data", "data", "--steps", "20", "--learning-rate", "0.01", "--output",
                        name,
                    ]
                        + options)
                try #require(try await program.exitCode() == 0, "\(program.logTail)")
            }
            let vectors = try ["free", "bound", "again"].map { name in
                let tuned = try TensorFile(reading: lab.directory.appending(name))
                return try TensorFile(reading: lab.directory.appending("data/base.safetensors")).tensors.map {
                    zip(try tuned.tensor($0.name).values, $0.values).map { $0 - $1 }
                }.flatMap(\.self)
            }
            func norm(_ vector: [Double]) -> Double { vector.reduce(0) { $0 + $1 * $1 } }
            #expect(norm(vectors[1]) < norm(vectors[0]))
            #expect(vectors[1] == vectors[2])
        }

        @Test func `a regularizer of another base is refused`() async throws {
            try await lab.computeRegularizers()
            try lab.writeStudy("other", seed: 2)
            let file = Laboratory.regularizer(without: "alpha")
            let result = try await lab.run(
                "finetune", "alpha", "--regularizer", file, "--output", "tuned.safetensors", data: "other")
            lab.expectFailure(
                result, code: 2, "error: \(file): made for the base with SHA-256 ", ", but this base has ",
                "Compute the factors and the regularizer again with this base.", leaving: "tuned.safetensors")
        }

        @Test(arguments: ["capture", "finetune"])
        func `a task that does not exist is refused with those that do`(command: String) async throws {
            let result = try await lab.run(command, "delta", "--output", "out")
            lab.expectFailure(result, code: 2, "no task \"delta\"", "alpha", "beta", "gamma", leaving: "out")
        }

        @Test func `a training that diverges names the step and what to lower`() async throws {
            let result = try await lab.run(
                "finetune", "alpha", "--steps", "5", "--learning-rate", "1e38", "--output", "tuned.safetensors")
            lab.expectFailure(
                result, code: 1, "error: task alpha: the loss is not finite at step ",
                " of 5. Lower the learning rate (1e+38)", leaving: "tuned.safetensors")
        }

        @Test func `data that were not unpacked are told from data that are not there`() async throws {
            let missing = try await lab.run("capture", "--output", "out", data: "nowhere")
            lab.expectFailure(missing, code: 2, "nowhere/data.safetensors: there is no such file.", "--data")
            let file = lab.directory.appending("data/data.safetensors")
            try FileManager.default.moveItem(atPath: file, toPath: file + ".xz")
            let packed = try await lab.run("capture", "--output", "out")
            lab.expectFailure(packed, code: 2, "data/data.safetensors is not unpacked yet. Run data/unpack.")
        }

        @Test(arguments: [
            ["finetune", "alpha", "--output", "out", "--steps", "0"],
            ["finetune", "alpha", "--output", "out", "--beta", "3"],
            ["finetune", "alpha", "--output", "out", "--regime", "cubic"],
            ["finetune", "alpha", "--output", "out", "--learning-rate", "nan"],
            ["finetune", "alpha", "--output", "out", "--penalty", "curvature"],
            ["capture", "--output", "out", "--probes", "4097"], ["evaluate"], ["evaluate", "--vectors", "linear="],
            ["reproduce", "--output", "out", "--seeds", "0,x"], ["reproduce", "--output", "out", "--seeds", "1,1"],
            ["reproduce", "--output", "out", "--only", "quadratic"], ["no-such-command"],
        ])
        func `bad usage is exit code 2`(arguments: [String]) async throws {
            let data = arguments.count > 1 || arguments[0] == "evaluate" ? ["--data", "data"] : []
            let program = try lab.start(arguments + data)
            #expect(try await program.exitCode() == 2, "\(program.logTail)")
            #expect(!program.errors.isEmpty)
            #expect(!FileManager.default.fileExists(atPath: lab.directory.appending("out")))
        }

        // MARK: - Measuring

        private func trainAll() async throws {
            for task in Laboratory.tasks {
                let result = try await lab.run(
                    "finetune", task, "--steps", "20", "--learning-rate", "0.05", "--output",
                    "vectors/\(task).safetensors")
                try #require(result.exitCode == 0, "\(result.errors)")
            }
        }

        @Test(arguments: ["rows.json", "deep/rows.json"])
        func `vectors and a merge of the daemon are measured`(output: String) async throws {
            try await trainAll()
            var job = JobFile(base: "data/base.safetensors", output: "merge")
            job.tasks = Laboratory.tasks.map { JobFile.Task(model: "vectors/\($0).safetensors") }
            job.outputs = ["merged", "report"]
            try job.write(to: lab.directory.appending("merge.yaml"))
            try await Client.runJob(lab.directory.appending("merge.yaml"), in: lab.directory)

            let result = try await lab.run(
                "evaluate", "--vectors", "mine=vectors", "--merged", "sum=merge/merged", "--negation", "--alpha",
                "0.5", "1", "--output", output)
            try #require(result.exitCode == 0, "\(result.errors)")
            for word in ["mine", "sum"] { #expect(result.output.contains(word), "\(result.output)") }
            let rows = try rows(output)
            #expect(
                rows.map { $0["regime"] as? String } == [
                    "pretrained", "individual", "addition", "addition", "negation", "negation", "merge",
                ])
            #expect(rows.map { $0["alpha"] as? Double } == [nil, 1, 0.5, 1, 0.5, 1, 1])
            for row in rows {
                let perTask = try #require(row["per_task"] as? [String: Double])
                #expect(perTask.keys.sorted() == Laboratory.tasks)
                #expect((0...100).contains(try #require(row["accuracy"] as? Double)))
            }
            #expect(rows[1]["per_task"] as? [String: Double] != rows[0]["per_task"] as? [String: Double])
            // Task arithmetic is the sum at α = 1.
            #expect(rows[6]["per_task"] as? [String: Double] == rows[3]["per_task"] as? [String: Double])
        }

        @Test func `a checkpoint of another architecture is refused`() async throws {
            try lab.writeStudy("wide", seed: 3, featureWidth: 7)
            let result = try await lab.run(
                "evaluate", "--merged", "wide=wide/base.safetensors", "--output", "rows.json")
            lab.expectFailure(
                result, code: 2,
                "error: wide/base.safetensors: tensor \"lin_proj.weight\" is F32 [7, 8]; the base's model expects [6, 8]",
                leaving: "rows.json")
        }

        @Test func `a set without one of the tasks is refused with the file that is missing`() async throws {
            try await trainAll()
            try FileManager.default.removeItem(atPath: lab.directory.appending("vectors/gamma.safetensors"))
            let result = try await lab.run("evaluate", "--vectors", "linear=vectors")
            lab.expectFailure(result, code: 2, "vectors/gamma.safetensors")
        }

        // MARK: - The study

        private func reproduction(_ output: String, _ methods: String) -> [String] {
            [
                "reproduce", "--data", "data", "--lanes", "2", "--seeds", "0", "--steps", "2", "--only", methods,
                "--kfacctl", Programs.client, "--output", output,
            ]
        }

        private static let methods = "linear,tak-accumulated,tak-optimal-1,merges"

        /// Runs a study to its end, and returns its rows without their seconds.
        ///
        /// - Throws: ``WaitError`` when the study does not end in time, or what the requirement throws when it fails.
        private func reproduce(_ output: String, _ methods: String = Self.methods) async throws -> [[String: Any]] {
            let program = try lab.start(reproduction(output, methods))
            try #require(try await program.exitCode() == 0, "\(program.logTail)")
            return try rows("\(output)/results.json").map { row in
                var row = row
                row["seconds"] = nil
                return row
            }
        }

        @Test func `the study trains under regularizers of the daemon, merges, and writes its results`() async throws {
            let rows = try await reproduce("study")
            for method in Self.methods.split(separator: ",").dropLast() {
                #expect(rows.count { $0["method"] as? String == String(method) } == 21)
            }
            #expect(
                rows.filter { $0["regime"] as? String == "merge" }.map { $0["method"] as? String }
                    == ["task_arithmetic", "weighted_average", "kfac", "jacobian-merge"])
            #expect(rows.count { $0["regime"] as? String == "pretrained" } == 1)
            // One zero-shot row, 21 rows for each method, four merges.
            #expect(rows.count == 68)
            let figures = try Data(contentsOf: URL(fileURLWithPath: lab.directory.appending("study/figures.json")))
            let members = try #require(try JSONSerialization.jsonObject(with: figures) as? [String: Any])
            let interference = try #require(members["interference"] as? [[String: Any]])
            #expect(interference.map { $0["method"] as? String } == ["linear", "tak-accumulated"])
            let page = try String(contentsOfFile: lab.directory.appending("study/results.html"), encoding: .utf8)
            #expect(page.contains("</html>"))
            // Only the factors needed the captures.
            #expect(try names("study/factors/seed0").count == 1)
            #expect(!OutputTree.paths(below: lab.directory.appending("study")).contains { $0.contains("/captures/") })

            // A second run finds everything done.
            let before = try Data(contentsOf: URL(fileURLWithPath: lab.directory.appending("study/results.json")))
            _ = try await reproduce("study")
            #expect(try Data(contentsOf: URL(fileURLWithPath: lab.directory.appending("study/results.json"))) == before)
        }

        @Test(arguments: [SIGINT, SIGTERM])
        func `an interrupted study leaves no daemon behind and goes on when it is run again`(signal: Int32) async throws
        {
            let methods = "linear,tak-accumulated"
            let output = lab.directory.appending("study")
            let program = try lab.start(reproduction(output, methods))
            var processes: Set<ProcessTree.Member> = []
            try await eventually("a coordinator and two workers", finding: program.logTail) {
                guard program.isRunning else { throw WaitError(description: program.logTail) }
                processes = ProcessTree.below(" --output \(output)")
                return processes.count { $0.command.contains("/kfacd ") } == 3
            }
            // The lab, kfacctl and its daemons.
            #expect(processes.count == 5, "\(processes)")
            let client = try #require(processes.first { $0.command.contains("kfacctl run ") })
            let state = "/var/tmp/kfacd-run-\(client.number)"
            defer { try? FileManager.default.removeItem(atPath: state) }
            program.send(signal)
            #expect(try await program.exitCode() == 130, "\(program.logTail)")
            #expect(program.errors.hasSuffix("error: interrupted; run it again to go on.\n"), "\(program.errors)")
            try await eventually("the end of the daemons") {
                ProcessTree.running(processes).isEmpty
            }
            #expect(!FileManager.default.fileExists(atPath: state))
            let continued = try await reproduce("study", methods)
            let undisturbed = try await reproduce("undisturbed", methods)
            #expect(NSArray(array: continued) == NSArray(array: undisturbed))
        }
    }
}
