import ArgumentParser
import Console
import Foundation
import Laboratory
import Study
import StudyReport
import SystemPackage
import Telemetry

/// `kfaclab evaluate`: measures accuracies of sets of vectors, added or subtracted, and of merged checkpoints.
struct EvaluateCommand: Experiment {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measures task vectors and merged checkpoints on the test images of every task.")

    @OptionGroup var lab: LabOptions

    @Option(
        name: .customLong("vectors"), parsing: .upToNextOption,
        help: "Sets of vectors as NAME=DIRECTORY, with <task>.safetensors in each directory.")
    var sets: [NamedPath] = []

    @Option(
        name: .customLong("merged"), parsing: .upToNextOption,
        help: "Merged checkpoints as NAME=FILE, or the directory that holds model.safetensors.")
    var merges: [NamedPath] = []

    @Option(parsing: .upToNextOption, help: "Scales of the summed vectors; 1 by default.")
    var alpha: [Double] = []

    @Flag(help: "Also subtract each vector: accuracy of its own task and of the others.")
    var negation = false

    @Flag(help: "Measure f(x, θ0 + α τ) in place of f(x, θ0) + α J τ.")
    var nonlinear = false

    @Option(help: "Also write the rows to this file, as JSON.")
    var output: String?

    @Option(help: "Also draw accuracy over α to this SVG file; needs several --alpha.")
    var picture: String?

    @Option(
        help: """
            Measure everything and write results.json, figures.json and results.html to this directory: α from 0 to 3 \
            with the best on validation images, negation, where each vector acts, and how two disturb each other.
            """)
    var report: String?

    @Option(help: "The two tasks whose plane of α1 and α2 is drawn, separated by a comma.")
    var pair: NameList?

    func validate() throws {
        guard !sets.isEmpty || !merges.isEmpty else {
            throw ValidationError("nothing to evaluate: give --vectors NAME=DIRECTORY or --merged NAME=FILE.")
        }
        let names = sets.map(\.name) + merges.map(\.name)
        guard Set(names).count == names.count, !names.contains("pretrained") else {
            throw ValidationError("every NAME must be another, and none \"pretrained\".")
        }
        if report != nil, negation || !alpha.isEmpty {
            throw ValidationError("--report measures every α and negation; leave --alpha and --negation out.")
        }
        guard alpha.allSatisfy(\.isFinite) else { throw ValidationError("--alpha must be finite numbers.") }
        if picture != nil, sets.isEmpty || Set(alpha).count < 2 && report == nil {
            throw ValidationError("--picture draws over α: give --vectors and at least two values of --alpha.")
        }
        if let pair, pair.values.count != 2 || report == nil {
            throw ValidationError("--pair names two tasks, and belongs to --report.")
        }
        if nonlinear, report != nil {
            throw ValidationError("--report measures the linearised model; leave --nonlinear out.")
        }
    }

    func perform() async throws {
        if let output { try StudyDirectory.requireWritable(file: FilePath(output)) }
        if let report {
            try StudyDirectory(FilePath(report)).requireWritable([ResultsFile.name, FiguresFile.name, "results.html"])
        }
        let inputs = try StudyInputs(lab.directory(), splits: report == nil ? [.test] : [.validation, .test])
        let vectors = try sets.map { try VectorSet(reading: $0, inputs) }
        let merged = try merges.map { ($0.name, try inputs.base.taskVector(of: $0.checkpoint)) }
        let chosenPair = try figurePair(inputs)
        let team = lab.team(for: inputs.base)
        let evaluation = VectorSetEvaluation(
            test: await Evaluation(inputs.test, base: inputs.base, team: team),
            validation: report == nil ? nil : await Evaluation(inputs.validation, base: inputs.base, team: team))
        var rows = [evaluation.pretrained]
        var figures = StudyFigures(tasks: inputs.taskNames)
        for set in vectors {
            try Task.checkCancellation()
            rows += try await evaluation.rows(
                set, isLinear: !nonlinear, alphas: report == nil ? scales : AlphaGrid.addition,
                negatedAlphas: report != nil ? AlphaGrid.negation : negation ? scales : [])
            guard report != nil else { continue }
            let drawn = await evaluation.figures(set, pair: chosenPair)
            figures.localisation.append(drawn.localisation)
            figures.disentanglement += drawn.disentanglement.map { [$0] } ?? []
        }
        for (name, vector) in merged {
            try Task.checkCancellation()
            rows.append(await evaluation.merged(name, vector, isLinear: !nonlinear))
        }
        Terminal.print(ResultsText(rows: rows).text)
        try write(rows, figures, inputs)
    }

    private var scales: [Double] { alpha.isEmpty ? [1] : alpha }

    private func figurePair(_ inputs: StudyInputs) throws -> (first: Int, second: Int)? {
        guard let pair else { return inputs.figurePair }
        return (try inputs.index(of: pair.values[0]), try inputs.index(of: pair.values[1]))
    }

    private func write(_ rows: [StudyRow], _ figures: StudyFigures, _ inputs: StudyInputs) throws {
        if let output {
            let file = FilePath(output)
            try StudyDirectory(file.removingLastComponent()).write(
                Array(try ResultsFile.encode(rows).utf8), to: file)
        }
        if let picture, let svg = AlphaSweep(rows: rows).svg {
            let file = FilePath(picture)
            try StudyDirectory(file.removingLastComponent()).write(Array(svg.utf8), to: file)
        }
        if let report {
            let description = StudyDescription(
                title: "Evaluation of task vectors",
                model: "Tasks: \(inputs.taskNames.joined(separator: ", ")).", version: "kfaclab \(Build.version)",
                settings: sets.map { StudySetting(name: $0.name, value: $0.path.string) },
                notes: ["The best α was chosen on validation images; accuracies are of test images."])
            try StudyDirectory(FilePath(report)).writeResults(rows, figures, description)
        }
    }
}

extension VectorSet {
    /// Reads the vectors of a directory with `<task>.safetensors` for every task.
    ///
    /// - Throws: `LaboratoryError`.
    fileprivate init(reading named: NamedPath, _ inputs: StudyInputs) throws(LaboratoryError) {
        var vectors: [[Float]] = []
        for task in inputs.taskNames {
            vectors.append(try inputs.base.taskVector(of: named.path.appending("\(task).safetensors")))
        }
        self.init(method: named.name, vectors: vectors)
    }
}

/// `NAME=PATH`.
struct NamedPath: ExpressibleByArgument {
    let name: String
    let path: FilePath

    init?(argument: String) {
        guard let separator = argument.firstIndex(of: "="), separator != argument.startIndex,
            argument.index(after: separator) != argument.endIndex
        else { return nil }
        name = String(argument[..<separator])
        path = FilePath(String(argument[argument.index(after: separator)...]))
    }

    /// The file itself, or the merged checkpoint of an output directory.
    var checkpoint: FilePath {
        let inside = path.appending("model.safetensors")
        return FileManager.default.fileExists(atPath: inside.string) ? inside : path
    }
}
