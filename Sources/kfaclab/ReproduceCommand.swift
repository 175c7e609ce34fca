import ArgumentParser
import Console
import Foundation
import Laboratory
import Study
import StudyReport
import SystemPackage
import Telemetry

/// `kfaclab reproduce`: runs the whole study.
struct ReproduceCommand: Experiment {
    static let configuration = CommandConfiguration(
        commandName: "reproduce",
        abstract: "Runs the whole study and writes results.json and results.html; goes on where it was interrupted.")

    @OptionGroup var lab: LabOptions

    @Option(help: "Seeds, separated by commas.")
    var seeds: IntegerList = IntegerList(values: [0])

    @Option(help: "Only these methods, separated by commas: \(Study.Options.identifiers.joined(separator: ", ")).")
    var only: NameList?

    @Option(
        help: """
            A penalty beside the methods; may be given again. A form and its settings: \
            daemon[,accumulation=per-task], kronecker[,accumulation=per-task][,balance=trace][,one-dimensional=sum], \
            pseudo-rows[,ranks=32x128][,floor=complement|none|SHARE][,mixing=on][,centroids=16], \
            input-mixture[,components=128x8], jacobian; each also with beta=B/B/…, of which validation images choose, \
            the first three with samples=N, probes=M, every=STEPS, and the last two with batch=IMAGES.
            """,
        transform: { text in
            do throws(LaboratoryError) { return try Contender(parsing: text) } catch {
                throw ValidationError("\(error)")
            }
        })
    var contender: [Contender] = []

    @Option(name: .shortAndLong, help: "The directory for everything that is computed.")
    var output: String

    @Option(help: "Steps of each training; fewer give a faster, worse study.")
    var steps = 200

    @Option(help: "The kfacctl to run; by default the one beside this program, or on PATH.")
    var kfacctl: String?

    func validate() throws {
        guard LabOptions.stepRange.contains(steps) else {
            throw ValidationError("--steps must lie in \(LabOptions.stepRange).")
        }
    }

    func perform() async throws {
        try StudyDirectory(FilePath(output)).requireWritable([ResultsFile.name, FiguresFile.name, "results.html"])
        let inputs = try StudyInputs(lab.directory())
        let study = try Study(
            inputs, directory: FilePath(output),
            options: Study.Options(
                seeds: seeds.values, only: only?.values, contenders: contender, stepCount: steps,
                version: "kfaclab \(Build.version)"),
            team: lab.team(for: inputs.base), daemon: try DaemonProgram(at: kfacctl.map { FilePath($0) }))
        let line = StudyProgressDisplay()
        defer { line.end() }
        let rows = try await study.run { line.show($0) }
        line.end()
        Terminal.print(ResultsText(rows: rows).text)
        let directory = FilePath(output)
        for name in [ResultsFile.name, FiguresFile.name, "results.html"] {
            Terminal.print(directory.appending(name).string)
        }
    }
}

/// Numbers separated by commas.
struct IntegerList: ExpressibleByArgument {
    let values: [Int]

    init(values: [Int]) { self.values = values }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        let values = parts.compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
        guard !values.isEmpty, values.count == parts.count else { return nil }
        self.values = values
    }

    var defaultValueDescription: String { values.map(String.init).joined(separator: ",") }
}

/// Names separated by commas.
struct NameList: ExpressibleByArgument {
    let values: [String]

    init?(argument: String) {
        values = argument.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        guard !values.isEmpty else { return nil }
    }
}
