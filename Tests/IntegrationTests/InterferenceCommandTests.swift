import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// `kfacctl interference` and `kfacctl advise`, of job files, outputs and jobs at a coordinator.
    @Suite struct InterferenceCommandTests {
        private let model: SmallModel
        private let names = SmallModel.taskNames

        init() throws { model = try SmallModel() }

        private func client(_ arguments: String...) async throws -> CommandResult {
            try await Client.run(arguments, in: model.directory, environment: ["TMPDIR": model.directory.path])
        }

        /// The normalised matrix in the answer of `kfacctl interference`, `[vectors][tasks]`.
        private func matrix(_ result: CommandResult, sourceLocation: SourceLocation = #_sourceLocation) throws
            -> [[Double]]
        {
            try #require(result.exitCode == 0, "\(result.errors)", sourceLocation: sourceLocation)
            let values = try #require(try result.json["interference"] as? [[String: Any]])
            return try names.map { vector in
                try names.map { task in
                    let entry = values.first {
                        $0["task_vector"] as? String == vector && $0["task"] as? String == task
                    }
                    return try #require(entry?["normalized"] as? Double)
                }
            }
        }

        // MARK: - Forms of the command

        @Test func `a job file, an output, a report and a job at a coordinator have one interference`() async throws {
            model.job.curvature = ["groups: [{layers: \"fc\", strength: 2}]"]
            try model.write()
            // The job file itself: only the report is computed, and nothing is left behind.
            let before = Set(OutputTree.paths(below: model.directory.path))
            let measured = try matrix(try await client("interference", "job.yaml", "--output", "json", "--quiet"))
            #expect(Set(OutputTree.paths(below: model.directory.path)) == before)
            try await Cluster.with { cluster in
                try cluster.startWorker("worker")
                let job = try await cluster.submit(model.jobPath)
                try await cluster.waitForSuccess(job)
                let remote = try await cluster.client("interference", job, "--output", "json")
                #expect(try matrix(remote) == measured)
                let advice = try await cluster.client("advise", job)
                #expect(advice.exitCode == 0 && advice.output.contains("\nadvice: merge with "), "\(advice.errors)")
                let unknown = try await cluster.client("advise", "job-77")
                #expect(unknown.exitCode == 2)
                #expect(unknown.errors.contains("there is no such job"), "\(unknown.errors)")
            }
            #expect(try matrix(try await client("interference", "out", "--output", "json")) == measured)
            #expect(try matrix(try await client("interference", "out/report.json", "--output", "json")) == measured)
            let report = try Report.read(in: model.outputPath)
            let section = try #require(report["interference"] as? [String: Any])
            #expect(section["normalized"] as? [[Double]] == measured)
        }

        @Test func `a table has the matrix, and a bounded list of layers`() async throws {
            model.job.outputs = ["report"]
            try await model.run()
            let plain = try await client("interference", "out")
            try #require(plain.exitCode == 0, "\(plain.errors)")
            #expect(plain.output.contains("alpha") && !plain.output.contains("LAYER"))
            let layers = try await client("interference", "out", "--layers")
            let lines = layers.output.split(separator: "\n").map(String.init)
            let heading = try #require(lines.firstIndex { $0.hasPrefix("LAYER ") })
            #expect(
                Set(lines[(heading + 1)...].compactMap { $0.split(separator: " ").first }) == [
                    "q", "k", "v", "fc", "norm.weight",
                ])
            let listed = try #require(
                try await client("interference", "out", "--layers", "-o", "json").json["layers"] as? [[String: Any]])
            let shares = try listed.map { try #require($0["share"] as? Double) }
            expectClose([shares.reduce(0, +)], [1.0], relative: 1e-12)
            #expect(shares == shares.sorted(by: >))
        }

        @Test func `a picture is an SVG of its own with all names and a legend`() async throws {
            model.job.outputs = ["report"]
            model.job.tasks[0].name = "a<b&c"
            model.captures["alpha"]?.metadata["task"] = "a<b&c"
            try model.write()
            try await model.run()
            let path = model.directory.appending("map.svg")
            let result = try await client("interference", "out", "--picture", "map.svg")
            try #require(result.exitCode == 0, "\(result.errors)")
            let picture = try String(contentsOfFile: path, encoding: .utf8)
            #expect(picture.hasPrefix("<svg xmlns=\"http://www.w3.org/2000/svg\""))
            #expect(picture.contains(">a&lt;b&amp;c</text>") && picture.contains(">beta</text>"))
            #expect(picture.contains("strength, relative to the task's own vector"))
            // The ground, nine cells and twenty steps of the legend.
            #expect(picture.components(separatedBy: "<rect ").count - 1 == 1 + 9 + 20)
            #expect(picture.components(separatedBy: "<g>").count == picture.components(separatedBy: "</g>").count)
            let other = try await client("interference", "out", "--picture", "map.png")
            #expect(other.exitCode == 2)
            #expect(other.errors.contains("--picture writes SVG, and \"map.png\" does not end in .svg."))
        }

        // MARK: - Advice

        @Test func `advice predicts the drifts that the pairs of the report give`() async throws {
            model.job.outputs = ["report"]
            model.job.tasks[1].others = ["parameters: {weight: 0.5}", "curvature_weight: 3"]
            model.job.others += ["parameters: {lambda: 0.25}"]
            try model.write()
            try await model.run()
            let result = try await client("advise", "out", "--output", "json")
            try #require(result.exitCode == 0, "\(result.errors)")
            let answer = try result.json
            let section = try #require(try Report.read(in: model.outputPath)["interference"] as? [String: Any])
            let pairs = try #require(section["pairs"] as? [String: [[Double]]])
            // alpha and gamma have 12 samples each.
            let shares = [12 / 27.0, 3 / 27.0, 12 / 27.0]
            func drift(_ task: Int, _ coefficients: [Double]) -> Double {
                let away = coefficients.indices.map { coefficients[$0] - ($0 == task ? 1 : 0) }
                var sum = 0.0
                for first in 0..<3 {
                    for second in 0..<3 {
                        let form = pairs[names[task]]?[max(first, second)][min(first, second)] ?? .nan
                        sum += away[first] * form * away[second]
                    }
                }
                return sum
            }
            let predictions = try #require(answer["predictions"] as? [[String: Any]])
            try #require(predictions.count == 3)
            #expect(predictions[0]["lambda"] as? Double == 0.25)
            var totals: [Double] = []
            for prediction in predictions {
                let weights = try #require(prediction["weights"] as? [String: Double])
                let scale = try #require(prediction["lambda"] as? Double)
                let coefficients = try names.map { scale * (try #require(weights[$0])) }
                let drifts = try #require(prediction["drifts"] as? [String: Double])
                let expected = (0..<3).map { drift($0, coefficients) }
                expectClose(try names.map { try #require(drifts[$0]) }, expected, relative: 1e-9)
                let total = try #require(prediction["total"] as? Double)
                expectClose([total], [zip(shares, expected).reduce(0) { $0 + $1.0 * $1.1 }], relative: 1e-9)
                totals.append(total)
                // No step from the best weights lowers the total.
                guard prediction["name"] as? String == "the best weights" else { continue }
                for vector in 0..<3 {
                    for step in [-0.01, 0.01] {
                        var moved = coefficients
                        moved[vector] += step
                        #expect(zip(shares, (0..<3).map { drift($0, moved) }).reduce(0) { $0 + $1.0 * $1.1 } > total)
                    }
                }
            }
            #expect(totals[0] >= totals[1] && totals[1] >= totals[2])
            #expect((predictions[0]["weights"] as? [String: Double])?["beta"] == 0.5)
            try expectCoverage(answer)
            let yaml = try #require(answer["yaml"] as? [String])
            #expect(yaml.first == "merge_method: task_arithmetic")
            #expect(yaml.contains { $0.hasPrefix("    parameters: {weight: ") && $0.hasSuffix("}  # gamma") })
        }

        /// `embed.weight` alone has no curvature.
        private func expectCoverage(_ answer: [String: Any]) throws {
            let found = try #require(answer["uncovered_shares"] as? [String: Double])
            for name in names {
                let checkpoint = try #require(model.checkpoints[name])
                var (all, uncovered) = (0.0, 0.0)
                for tensor in model.base.tensors where tensor.elementType == .float32 {
                    let own = try checkpoint.tensor(tensor.name).values
                    let norm = zip(own, tensor.values).reduce(0.0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
                    all += norm
                    if tensor.name == "embed.weight" { uncovered += norm }
                }
                expectClose([try #require(found[name])], [uncovered / all], relative: 1e-9)
            }
            let remarks = try #require(answer["remarks"] as? [String])
            #expect(remarks.contains { $0.hasPrefix("curvature is missing for a part of |Δ|²: ") })
        }

        @Test func `advice for a job file names pairs, drifts, weights and what it does not know`() async throws {
            model.job.method = "kfac"
            try model.write()
            let result = try await client("advise", "job.yaml", "--quiet")
            try #require(result.exitCode == 0, "\(result.errors)")
            for part in [
                "the pairs that interfere most", "and 1 more pairs", "weight of alpha", "drift of gamma",
                "\nadvice: merge",
                "merge_method: task_arithmetic",
            ] {
                #expect(result.output.contains(part), "\(part)\n\(result.output)")
            }
            #expect(result.errors.contains("the job's method is \"kfac\""))
            #expect(!FileManager.default.fileExists(atPath: model.outputPath))
        }

        // MARK: - Bad input

        private func expectRefusal(
            _ arguments: [String], code: Int32 = 2, _ message: String, sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            for command in ["interference", "advise"] {
                let result = try await Client.run([command] + arguments, in: model.directory)
                #expect(result.exitCode == code, sourceLocation: sourceLocation)
                #expect(result.errors == "error: \(message)\n", sourceLocation: sourceLocation)
                #expect(result.output == "", sourceLocation: sourceLocation)
            }
        }

        @Test func `a name of nothing, a directory without a report and a damaged report are refused`() async throws {
            try await expectRefusal(
                ["nothing"],
                "nothing: there is nothing of this name; expected a job's name such as \"job-1\", the output directory or "
                    + "report.json of a job, or a job file. Check the path.")
            try await expectRefusal(
                ["captures"],
                "captures/report.json: there is no such report; expected that of a finished job with \"report\" among its "
                    + "\"outputs\". Name the job file instead.")
            let path = model.directory.appending("report.json")
            try Data("{".utf8).write(to: URL(fileURLWithPath: path))
            try await expectRefusal(
                ["report.json"],
                "report.json: is not the JSON of a report; expected the \"report.json\" of a job. Name another.")
            try Data(#"{"format": "kfacd.report/1", "interference": null}"#.utf8).write(to: URL(fileURLWithPath: path))
            try await expectRefusal(
                ["report.json"],
                "report.json: is of the format \"kfacd.report/1\", which an earlier version of kfacd wrote; this one reads "
                    + "\"kfacd.report/2\". Make it again with this version.")
            try Data(#"{"format": "kfacd.report/2", "interference": {"task_vectors": ["a"]}}"#.utf8)
                .write(to: URL(fileURLWithPath: path))
            try await expectRefusal(
                ["report.json"],
                "report.json: \"interference\" is no matrix of 1 task vectors and 0 tasks with the forms of their pairs. The "
                    + "report is damaged; run the job again.")
        }

        @Test func `a report without pairs has a matrix, and too many tasks for advice`() async throws {
            let report = """
                {"format": "kfacd.report/2", "options": {"merge_method": "kfac"}, "interference": {"task_vectors": ["a"],
                "tasks": ["a", "b"], "weights": [1], "matrix": [[2, 1]], "normalized": [[1, null]], "pairs": null,
                "squared_norms": {"with_curvature": [1], "without_curvature": [0]}, "layers": {"fc": [[2, 1]]}}}
                """
            try Data(report.utf8).write(to: URL(fileURLWithPath: model.directory.appending("report.json")))
            let shown = try await client("interference", "report.json", "--layers")
            #expect(shown.exitCode == 0 && shown.output.contains("a  1.000  –"), "\(shown.output)\(shown.errors)")
            let refused = try await client("advise", "report.json")
            #expect(refused.exitCode == 2)
            #expect(
                refused.errors
                    == "error: the report has no pairs of task vectors, since the job has 1 of them; expected at "
                    + "most 150. Name a job of fewer models.\n")
        }

        @Test func `a job without factors, with one task, without a base or without models is refused`() async throws {
            let noCurvature =
                "no model of the job has curvature, which interference is measured by. Give the models \"captures\" or "
                + "\"factors\"."
            let whole = model.job
            for index in model.job.tasks.indices { model.job.tasks[index].captures = [] }
            model.job.outputs = ["merged", "report"]
            try model.write()
            try await expectRefusal(["job.yaml"], "job.yaml: \(noCurvature)")
            try await model.run()
            try await expectRefusal(["out"], "out/report.json: \(noCurvature)")
            model.job = whole
            model.job.tasks = [whole.tasks[0]]
            try model.write()
            try await expectRefusal(
                ["job.yaml"],
                "job.yaml: the job has one task, \"alpha\"; expected at least two, since interference is between tasks. Name "
                    + "a job with more models.")
            model.job = whole
            for index in model.job.tasks.indices {
                (model.job.tasks[index].model, model.job.tasks[index].name) = (nil, names[index])
            }
            try model.write()
            try await expectRefusal(
                ["job.yaml"],
                "job.yaml: no task of the job has a model, so there are no task vectors. Give the tasks a \"model\".")
            model.job = whole
            let text = model.job.text.replacingOccurrences(of: "base_model: base.safetensors\n", with: "")
            try Data(text.utf8).write(to: URL(fileURLWithPath: model.jobPath))
            let result = try await client("advise", "job.yaml")
            #expect(result.exitCode == 2)
            #expect(result.errors.contains("the key \"base_model\" is missing."), "\(result.errors)")
        }

        @Test func `a report without interference says how to measure it, and no coordinator is told`() async throws {
            model.job.curvature = ["interference: false"]
            model.job.outputs = ["factors", "report"]
            try model.write()
            try await model.run()
            try await expectRefusal(
                ["out"],
                "out/report.json: the job measured no interference, since \"kfac.interference\" is false. Name the job file "
                    + "itself, which measures it.")
            let measured = try await client("interference", "job.yaml", "--quiet")
            #expect(measured.exitCode == 0 && measured.output.contains("gamma"), "\(measured.errors)")
            let absent = try await client("advise", "job-1", "--coordinator", "tcp://127.0.0.1:9", "--timeout", "1")
            #expect(absent.exitCode == 3, "\(absent.errors)")
        }
    }
}
