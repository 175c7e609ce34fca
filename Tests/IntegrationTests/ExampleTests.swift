import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The bundled example against its float64 references, through `kfacctl run` and `kfacctl compare`.
    @Suite struct ExampleTests {
        private static let tasks = ["fashion", "hdigits", "numerals", "hebrew"]
        private static let example = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Examples/small").path

        private let directory: TemporaryDirectory
        private let output: String

        init() throws {
            directory = try TemporaryDirectory()
            output = directory.appending("out")
        }

        private func job(_ method: String, withCaptures: Bool = true) -> JobFile {
            var job = JobFile(method: method, base: "\(Self.example)/base.safetensors", output: output)
            job.tasks = Self.tasks.map { task in
                JobFile.Task(
                    model: "\(Self.example)/checkpoints/\(task).safetensors",
                    captures: withCaptures ? ["\(Self.example)/captures/\(task).safetensors"] : [])
            }
            return job
        }

        /// A task's reference factors in float64, with the samples that jobs weight them by.
        private func factorFile(of task: String) throws -> String {
            var file = try TensorFile(reading: "\(Self.example)/reference/factors.\(task).safetensors")
            file.metadata["samples"] =
                try TensorFile(reading: "\(Self.example)/captures/\(task).safetensors").metadata["samples"]
            let path = directory.appending("factors.\(task).safetensors")
            try file.bytes.write(to: URL(fileURLWithPath: path))
            return path
        }

        private func run(_ job: JobFile) async throws {
            let path = directory.appending("job.yaml")
            try job.write(to: path)
            try await Client.runJob(path, workers: 2, in: directory)
        }

        private func compare(_ file: String, _ reference: String, _ options: String...) async throws {
            let arguments = ["compare", "\(output)/\(file)", "\(Self.example)/reference/\(reference)", "--summary"]
            let result = try await Client.run(arguments + options, in: directory)
            #expect(result.exitCode == 0, "\(file): \(result.output) \(result.errors)")
        }

        private func compareMerge(_ method: String, tolerance: String) async throws {
            try await compare(
                "merged/model.safetensors", "merge.\(method).safetensors", "--tolerance", tolerance, "--subset",
                "--base", "\(Self.example)/base.safetensors")
        }

        private func object(_ path: String) throws -> [String: Any] {
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        }

        /// Expects the values of the references for a task's blocks under a form of the regularizer.
        private func expectPenalties(_ found: [String: Double], of task: String, form: String) throws {
            let references = try object("\(Self.example)/reference/penalties.json")
            let expected = try #require(references[task] as? [String: [String: Double]])
            let blocks = try #require(expected[form]).merging(try #require(expected["vec"])) { $1 }
            let names = blocks.keys.sorted()
            try #require(found.keys.sorted() == names)
            expectClose(names.map { found[$0] ?? .nan }, names.map { blocks[$0] ?? .nan }, relative: 1e-4)
        }

        /// Equation 7 for each task's own vector: Σ_t λ_t I[own][t] over the other tasks, by block.
        private func perTaskPenalties(_ report: [String: Any]) throws -> [String: [String: Double]] {
            let tasks = try #require(report["tasks"] as? [[String: Any]])
            let weights = try tasks.map { try #require($0["curvature_weight"] as? Double) }
            let interference = try #require(report["interference"] as? [String: Any])
            try #require(interference["task_vectors"] as? [String] == Self.tasks)
            try #require(interference["tasks"] as? [String] == Self.tasks)
            let blocks = try #require(interference["layers"] as? [String: [[Double]]])
            var penalties: [String: [String: Double]] = [:]
            for (own, name) in Self.tasks.enumerated() {
                let others = weights.indices.filter { $0 != own }
                let total = others.reduce(0) { $0 + weights[$1] }
                penalties[name] = blocks.mapValues { matrix in
                    others.reduce(0) { $0 + weights[$1] / total * matrix[own][$1] }
                }
            }
            return penalties
        }

        @Test func `factors, regularizers, penalties and the kfac merge match the float64 references`() async throws {
            var job = job("kfac")
            job.curvature = ["damping: {rule: relative, value: 0.1}"]
            try await run(job)
            for task in Self.tasks {
                try await compare(
                    "factors/\(task)/factors.safetensors", "factors.\(task).safetensors", "--tolerance", "1e-5")
                try await compare(
                    "regularizer/\(task)/regularizer.safetensors", "regularizer.\(task).safetensors", "--tolerance",
                    "1e-4")
            }
            try await compareMerge("kfac", tolerance: "1e-4")
            let report = try object("\(output)/report.json")
            let accumulated = try #require(report["penalties"] as? [String: [String: Double]])
            let perTask = try perTaskPenalties(report)
            for task in Self.tasks {
                try expectPenalties(try #require(accumulated[task]), of: task, form: "eq8")
                try expectPenalties(try #require(perTask[task]), of: task, form: "eq7")
            }
        }

        @Test func `the per-task form and task arithmetic match the float64 references`() async throws {
            var job = job("task_arithmetic")
            job.curvature = ["regularizer: {form: per_task, targets: [hdigits]}"]
            job.outputs = ["regularizer", "merged", "report"]
            try await run(job)
            try await compareMerge("task_arithmetic", tolerance: "1e-4")
            let penalties = try object("\(output)/report.json")["penalties"] as? [String: [String: Double]]
            try expectPenalties(try #require(penalties?["hdigits"]), of: "hdigits", form: "eq7")
            let found = try TensorFile(reading: "\(output)/regularizer/hdigits/regularizer.safetensors")
            for task in Self.tasks where task != "hdigits" {
                let reference = try TensorFile(reading: "\(Self.example)/reference/factors.\(task).safetensors")
                for tensor in reference.tensors {
                    let name = "\(task)/\(tensor.name)"
                    #expect(relativeDistance(try found.tensor(name).values, tensor.values) < 1e-5, "\(name)")
                }
            }
        }

        /// A merge of layers under curvature: its method, its parameters, its damping, and how close it comes.
        ///
        /// Factors are stored as fp32. The smaller the damping, the more of their rounding reaches the result.
        private static let curved = [
            ("regmean", "{}", "0.01", "1e-4"), ("kfac_exact", "{ridge: 0.001, tolerance: 1e-9}", "0.1", "1e-4"),
            ("disentangle", "{beta: 0.1}", "0.01", "1e-4"),
        ]

        @Test(arguments: Self.curved)
        func `a merge of layers matches the float64 reference`(
            method: String, parameters: String, damping: String, tolerance: String
        ) async throws {
            var job = job(method)
            job.curvature = ["damping: {rule: relative, value: \(damping)}"]
            job.others = ["parameters: \(parameters)"]
            job.outputs = ["merged"]
            try await run(job)
            try await compareMerge(method, tolerance: tolerance)
        }

        /// Where a task's factors come from, whose fp64 a merge reads.
        enum Source: Sendable, CaseIterable { case captures, factors }

        /// With factors of F32 the merged vector is off by 4e-3.
        @Test(arguments: Source.allCases)
        func `with factors in fp64 little damping costs no digits`(source: Source) async throws {
            var job = job("disentangle", withCaptures: source == .captures)
            if source == .factors {
                for (index, task) in Self.tasks.enumerated() {
                    job.tasks[index].factors = try factorFile(of: task)
                }
            }
            job.curvature = ["damping: {rule: relative, value: 1e-4}", "precision: float64"]
            job.others = ["parameters: {beta: 0.1}", "dtype: float64"]
            job.outputs = ["factors", "merged", "report"]
            try await run(job)
            try await compareMerge("disentangle-1e-4", tolerance: "1e-8")
            for task in Self.tasks {
                try await compare(
                    "factors/\(task)/factors.safetensors", "factors.\(task).safetensors", "--tolerance", "1e-7")
            }
            let options = try #require(try object("\(output)/report.json")["options"] as? [String: Any])
            #expect(options["precision"] as? String == "float64")
        }

        @Test func `merges in fp64 have the same bytes with one, two and three workers`() async throws {
            var job = job("disentangle")
            job.curvature = ["damping: {rule: relative, value: 1e-4}", "precision: float64"]
            job.outputs = ["merged"]
            var files: [Data] = []
            for workers in 1...3 {
                job.output = directory.appending("out\(workers)")
                let path = directory.appending("job\(workers).yaml")
                try job.write(to: path)
                try await Client.runJob(path, workers: workers, in: directory)
                files.append(
                    try Data(contentsOf: URL(fileURLWithPath: "\(job.output)/merged/model.safetensors")))
            }
            #expect(files[0] == files[1] && files[1] == files[2])
        }

        @Test(arguments: [(1, true), (1000, false)])
        func `a merge by iteration that ends at its bound says so`(bound: Int, isWarned: Bool) async throws {
            var job = job("kfac_exact")
            job.others = ["parameters: {ridge: 0.001, iterations: \(bound)}"]
            job.outputs = ["merged", "report"]
            try await run(job)
            let report = try object("\(output)/report.json")
            let health = try #require((report["merge"] as? [String: Any])?["health"] as? [String: [String: [Double]]])
            let residuals = health.values.compactMap { $0["residual"]?.first }
            let unsolved = residuals.count { $0 > 1e-6 }
            #expect((unsolved > 0) == isWarned)
            let warnings = try #require(report["warnings"] as? [String]).filter { $0.hasPrefix("the iterations of") }
            #expect(warnings.count == (isWarned ? 1 : 0))
            #expect(
                warnings.allSatisfy {
                    $0.hasPrefix(
                        "the iterations of \(unsolved) of \(residuals.count) layers ended before their equations were "
                            + "solved; residuals: ")
                        && $0.hasSuffix(". Raise \"iterations\", \"tolerance\" or \"ridge\".")
                })
        }

        @Test(arguments: ["actmat", "wudi"])
        func `with captures a method that estimates covariances takes the captured ones, as regmean does`(
            method: String
        ) async throws {
            var job = job(method)
            job.curvature = ["damping: {rule: relative, value: 0.01}"]
            job.outputs = ["merged", "report"]
            try await run(job)
            try await compareMerge("regmean", tolerance: "1e-4")
            let merged = try #require(try object("\(output)/report.json")["merge"] as? [String: Any])
            let health = try #require(merged["health"] as? [String: [String: [Double]]])
            let distances = health.compactMapValues { $0["covariance_distances"] }
            #expect(distances["blocks.0.qkv"]?.count == Self.tasks.count)
            #expect(distances.values.allSatisfy { $0.allSatisfy { $0 > 0 && $0 < 3 } })
        }

        @Test(arguments: [("tsv_m", "{}"), ("iso_c", "{vectors: sum}")])
        func `a merge of singular vectors matches the float64 reference`(
            method: String, parameters: String
        ) async throws {
            var job = job(method, withCaptures: false)
            job.others = ["parameters: \(parameters)"]
            job.outputs = ["merged"]
            try await run(job)
            try await compareMerge(method, tolerance: "1e-4")
        }

        @Test func `a weighted average without curvature matches the float64 reference`() async throws {
            var job = job("weighted_average", withCaptures: false)
            job.outputs = ["merged"]
            try await run(job)
            try await compareMerge("weighted_average", tolerance: "1e-4")
            #expect(OutputTree.paths(below: output) == ["merged/model.safetensors"])
        }
    }
}
