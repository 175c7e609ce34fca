import Foundation
import Laboratory
import LinearAlgebra
import ReferenceModel
import StudyReport
import SystemPackage
import TestSupport
import Testing

@testable import Study

/// Studies of methods that need no daemon.
struct StudyTests {
    private let files: TinyStudy
    private let inputs: StudyInputs

    init() throws {
        BLASEnvironment.setThreadCount(1)
        files = try TinyStudy()
        inputs = try files.inputs()
    }

    private static let methods = ["linear", "diagonal", "tau-j-p"]
    /// The rows of each vector alone, and of the sum and the subtraction at each scale.
    private static let rowCount = 1 + AlphaGrid.addition.count + AlphaGrid.negation.count

    private func study(
        _ output: String = "out", seeds: [Int] = [0], only: [String]? = Self.methods, steps: Int = 3,
        kfacctl: FilePath = "/bin/false"
    ) throws -> Study {
        try Study(
            inputs, directory: files.path(output),
            options: Study.Options(seeds: seeds, only: only, stepCount: steps),
            team: PassTeam(inputs.base.layout, laneCount: 2), daemon: try DaemonProgram(at: kfacctl))
    }

    @discardableResult
    private func run(_ study: Study) async throws -> [StudyRow] { try await study.run { _ in } }

    private func text(_ name: String) throws -> String {
        String(decoding: try files.directory.read("out/\(name)"), as: UTF8.self)
    }

    // MARK: - What a study writes

    @Test func `a study measures every method alone, added and subtracted, and writes what it measured`() async throws {
        let rows = try await run(study())
        let written = try ResultsFile.decode(text("results.json"))
        #expect(written.count == rows.count)
        #expect(written.map(\.method) == rows.map(\.method))
        #expect(rows.count { $0.regime == .pretrained && $0.seed == nil } == 1)
        for method in Self.methods {
            let own = rows.filter { $0.method == method }
            #expect(own.allSatisfy { $0.seed == 0 && Set($0.perTask.keys) == Set(TinyStudy.tasks) })
            #expect(own.allSatisfy { ($0.seconds ?? 0) > 0 && $0.ownCeiling != nil })
            #expect(own.allSatisfy { (0...100).contains($0.accuracy) })
            #expect(own.count { $0.regime == .individual } == 1)
            let sums = own.filter { $0.regime == .addition }
            #expect(sums.map(\.alpha) == AlphaGrid.addition)
            #expect(sums.count { $0.isBestAlpha } == 1)
            #expect(sums.allSatisfy { $0.normalizedAccuracy != nil })
            let differences = own.filter { $0.regime == .negation }
            #expect(differences.map(\.alpha) == AlphaGrid.negation)
            #expect(differences.allSatisfy { $0.control != nil })
            #expect(own.count == 1 + sums.count + differences.count)
        }
        #expect(rows.count == 1 + Self.methods.count * Self.rowCount)
        #expect(Set(rows.filter { $0.method == "diagonal" }.map(\.beta)) == [10_000])
    }

    @Test func `the figures show every linear method, normalised to its own tasks`() async throws {
        try await run(study())
        let figures = try FiguresFile.decode(text("figures.json"))
        #expect(figures.tasks == TinyStudy.tasks)
        #expect(figures.interference.isEmpty)
        #expect(figures.localisation.map(\.method) == Self.methods)
        for matrix in figures.localisation {
            #expect(matrix.values.count == 3)
            #expect((0..<3).allSatisfy { matrix.values[$0].count == 3 && matrix.values[$0][$0] == 1 })
        }
        #expect(figures.disentanglement.map(\.method) == Self.methods)
        for map in figures.disentanglement {
            #expect([map.firstTask, map.secondTask] == ["alpha", "beta"])
            #expect(map.alphas == AlphaGrid.plane)
            #expect(map.errors.count == 13 && map.errors.allSatisfy { $0.count == 13 })
            #expect(map.errors.joined().allSatisfy { (0...1).contains($0) })
            #expect(map.errors[6][6] == 0, "at α = 0 of both vectors")
        }
        #expect(figures.penaltyCost.map(\.taskCount) == [2, 4, 8, 16, 32, 64])
        let page = try text("results.html")
        #expect(page.contains("<html") && page.contains("alpha, beta, gamma"))
    }

    @Test func `rows are measured on the test images, each from its own vectors`() async throws {
        let rows = try await run(study(only: ["linear"]))
        let evaluation = await Evaluation(
            inputs.test, base: inputs.base, team: PassTeam(inputs.base.layout, laneCount: 1))
        var responses: [LinearResponse] = []
        var sum = [Float](repeating: 0, count: inputs.base.layout.count)
        for task in TinyStudy.tasks {
            let vector = try inputs.base.taskVector(of: files.path("out/vectors/linear/seed0/\(task).safetensors"))
            responses.append(await evaluation.response(to: vector))
            sum = zip(sum, vector).map(+)
        }
        let alone = try #require(rows.first { $0.regime == .individual })
        let own = (0..<3).map { evaluation.accuracy(ofTask: $0, responses[$0]) }
        #expect(alone.perTask == Dictionary(uniqueKeysWithValues: zip(TinyStudy.tasks, own)))
        let doubled = try #require(rows.first { $0.regime == .addition && $0.alpha == 2 })
        let expected = evaluation.accuracies(await evaluation.response(to: sum), alpha: 2)
        #expect(doubled.perTask == Dictionary(uniqueKeysWithValues: zip(TinyStudy.tasks, expected)))
        let subtracted = try #require(rows.first { $0.regime == .negation && $0.alpha == 3 })
        #expect(subtracted.perTask["beta"] == evaluation.accuracies(responses[1], alpha: -3)[1])
    }

    @Test func `the best α is chosen on the validation images`() async throws {
        let rows = try await run(study(only: ["linear"], steps: 20))
        let evaluation = await Evaluation(
            inputs.validation, base: inputs.base, team: PassTeam(inputs.base.layout, laneCount: 1))
        var sum = [Float](repeating: 0, count: inputs.base.layout.count)
        for task in TinyStudy.tasks {
            let file = files.path("out/vectors/linear/seed0/\(task).safetensors")
            sum = zip(sum, try inputs.base.taskVector(of: file)).map(+)
        }
        let response = await evaluation.response(to: sum)
        let best = try #require(rows.first { $0.isBestAlpha }?.alpha)
        let accuracies = AlphaGrid.addition.map { evaluation.accuracies(response, alpha: $0).reduce(0, +) }
        let chosen = evaluation.accuracies(response, alpha: best).reduce(0, +)
        expectClose(chosen, accuracies.max() ?? 0, relative: 1e-9)
    }

    @Test func `non-linear vectors are measured through the model itself, subtracted at α = 1`() async throws {
        let rows = try await run(study(only: ["nonlinear"]))
        #expect(
            rows.map(\.regime) == [.pretrained, .individual] + AlphaGrid.addition.map { _ in .addition } + [.negation])
        #expect(rows.last?.alpha == 1)
        #expect(try FiguresFile.decode(text("figures.json")).localisation.isEmpty)
    }

    @Test func `a further seed gives further rows and other vectors, figures are of the first`() async throws {
        let rows = try await run(study(seeds: [4, 0], only: ["linear"]))
        #expect(rows.count { $0.seed == 4 } == Self.rowCount && rows.count { $0.seed == 0 } == Self.rowCount)
        let vectors = try ["seed0", "seed4"].map { seed in
            try inputs.base.taskVector(of: files.path("out/vectors/linear/\(seed)/alpha.safetensors"))
        }
        #expect(vectors[0] != vectors[1])
        #expect(try FiguresFile.decode(text("figures.json")).localisation.map(\.seed) == [4])
    }

    // MARK: - Going on

    /// The time when each file below a directory was written.
    private func times(_ name: String) throws -> [String: Date] {
        var times: [String: Date] = [:]
        let root = files.directory.appending(name)
        for path in FileManager.default.enumerator(atPath: root)?.compactMap({ $0 as? String }) ?? [] {
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(root)/\(path)")
            guard attributes[.type] as? FileAttributeType == .typeRegular else { continue }
            times[path] = attributes[.modificationDate] as? Date
        }
        return times
    }

    @Test func `a second run computes nothing again and writes the same bytes`() async throws {
        let rows = try await run(study())
        let vectors = try times("out/vectors")
        let stages = try times("out/stages")
        #expect(vectors.count == 9 && !stages.isEmpty)
        let results = try [text("results.json"), text("figures.json")]
        let again = try await run(study())
        #expect(again == rows)
        #expect(try times("out/vectors") == vectors)
        #expect(try times("out/stages") == stages)
        #expect(try [text("results.json"), text("figures.json")] == results)
    }

    @Test func `a further method is added to what is there`() async throws {
        let first = try await run(study(only: ["linear"]))
        let vectors = try times("out/vectors")
        let both = try await run(study(only: ["linear", "diagonal"]))
        #expect(Array(both.prefix(first.count)) == first)
        #expect(try times("out/vectors").filter { $0.key.hasPrefix("linear") } == vectors)
        #expect(both.count == first.count + Self.rowCount)
    }

    private func withoutSeconds(_ rows: [StudyRow]) -> [StudyRow] {
        rows.map { row in
            var row = row
            row.seconds = nil
            return row
        }
    }

    @Test(arguments: ["linear, seed 0: evaluating", "diagonal, seed 0: fine-tuning beta"])
    func `a study that is cancelled in the middle and run again ends like an undisturbed one`(
        activity: String
    ) async throws {
        let study = try study()
        await #expect(throws: (any Error).self) {
            try await Task {
                try await study.run { report in
                    if report.activity == activity { withUnsafeCurrentTask { $0?.cancel() } }
                }
            }.value
        }
        #expect(try !ResultsFile.decode(text("results.json")).contains { $0.method == "diagonal" })
        let kept = try times("out/vectors")
        #expect(kept["linear/seed0/gamma.safetensors"] != nil)
        #expect(kept["tau-j-p/seed0/alpha.safetensors"] == nil)
        let rows = try await run(study)
        let after = try times("out/vectors")
        #expect(kept.allSatisfy { after[$0.key] == $0.value })

        let undisturbed = try await run(self.study("undisturbed"))
        #expect(withoutSeconds(rows) == withoutSeconds(undisturbed))
        let figures = try ["out", "undisturbed"].map { name in
            let text = String(decoding: try files.directory.read("\(name)/figures.json"), as: UTF8.self)
            var figures = try FiguresFile.decode(text)
            // The cost is a time too, so it differs between runs.
            figures.penaltyCost = []
            return figures
        }
        #expect(figures[0] == figures[1])
        for name in after.keys {
            let vectors = try ["out", "undisturbed"].map {
                try inputs.base.taskVector(of: files.path("\($0)/vectors/\(name)"))
            }
            #expect(vectors[0] == vectors[1])
        }
    }

    // MARK: - Progress

    /// A program in place of kfacctl; its merges are the base, and its reports are all equal.
    private func merging() throws -> FilePath {
        let report = """
            {"format": "kfacd.report/1", "layers": [], "interference": {
              "task_vectors": ["alpha", "beta", "gamma"], "tasks": ["alpha", "beta", "gamma"],
              "matrix": [[2, 1, 1], [1, 2, 1], [1, 1, 2]],
              "normalized": [[1, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0.5, 1]]}}
            """
        try files.directory.write(Array(report.utf8), to: "report.json")
        let script = """
            #!/bin/sh
            directory="${2%.yaml}"
            mkdir -p "$directory/merged"
            cp '\(files.path("base.safetensors"))' "$directory/merged/model.safetensors"
            cp '\(files.path("report.json"))' "$directory/report.json"
            """
        let path = try files.directory.write(Array(script.utf8), to: "kfacctl")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return FilePath(path)
    }

    @Test(arguments: [["linear", "merges"], ["merges"], ["linear", "nonlinear"]])
    func `the progress ends when the work ends, and never before`(only: [String]) async throws {
        let shown = Recorder<StudyProgress.Report>()
        _ = try await study(only: only, kfacctl: merging()).run { shown.append($0) }
        let reports = shown.values
        #expect(reports.dropLast().allSatisfy { $0.share < 0.999_999 })
        #expect(abs((reports.last?.share ?? 0) - 1) < 1e-9)
        #expect(zip(reports, reports.dropFirst()).allSatisfy { $0.share <= $1.share })
        #expect(reports.allSatisfy { ($0.secondsLeft ?? 0) >= 0 })
    }

    @Test func `merges are measured like the checkpoint that they are`() async throws {
        let rows = try await run(study(only: ["merges"], kfacctl: merging()))
        let zeroShot = try #require(rows.first { $0.regime == .pretrained })
        let merges = rows.filter { $0.regime == .merge }
        #expect(merges.map(\.method) == ["task_arithmetic", "weighted_average", "kfac", "jacobian-merge"])
        // Each merge of the daemon is the base, so its accuracy is the zero-shot accuracy.
        #expect(
            merges.dropLast().allSatisfy { $0.accuracy == zeroShot.accuracy && $0.perTask == zeroShot.perTask })
        #expect(merges.last?.seed == 0 && merges.last?.alpha == 1)
    }

    // MARK: - What cannot be run

    private func refusal(seeds: [Int] = [0], only: [String]? = nil) -> String {
        do {
            _ = try study(seeds: seeds, only: only)
            return ""
        } catch { return "\(error)" }
    }

    @Test func `an unknown method is named with those that there are`() {
        #expect(
            refusal(only: ["linear", "quadratic"]) == "no method \"quadratic\"; there are nonlinear, linear, diagonal, "
                + "tak-per-task, tak-accumulated, tak-optimal-1, tak-optimal-2, tau-j-p, merges, ablations, leaks.")
    }

    @Test(arguments: [[], [1, 2, 1]])
    func `seeds must be there and differ`(seeds: [Int]) {
        #expect(refusal(seeds: seeds) == "the seeds must be different numbers, at least one.")
    }

    @Test
    func `a directory of another number of steps is refused, and a method that needs the daemon says its failure`()
        async throws
    {
        try await run(study(only: ["linear"]))
        let claimed = await #expect(throws: LaboratoryError.self) { try await run(study(only: ["linear"], steps: 4)) }
        #expect("\(try #require(claimed))".hasPrefix("\(files.path("out")): holds an earlier study, whose "))
        let failed = await #expect(throws: LaboratoryError.self) { try await run(study(only: ["tak-accumulated"])) }
        #expect(failed == .programFailed(program: "/bin/false", code: 1, output: ""))
        // Earlier measurements are still there.
        #expect(try ResultsFile.decode(text("results.json")).contains { $0.method == "linear" })
    }
}
