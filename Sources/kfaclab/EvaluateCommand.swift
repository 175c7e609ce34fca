import ArgumentParser
import Console
import Foundation
import Laboratory
import Study
import StudyReport
import SystemPackage

/// `kfaclab evaluate`: accuracies of sets of vectors, added or subtracted, and of merged checkpoints.
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

    @Option(parsing: .upToNextOption, help: "Scales of the summed vectors.")
    var alpha: [Double] = [1]

    @Flag(help: "Also subtract each vector: accuracy of its own task and of the others.")
    var negation = false

    @Flag(help: "Measure f(x, θ0 + α τ) in place of f(x, θ0) + α J τ.")
    var nonlinear = false

    @Option(help: "Also write the rows to this file, as JSON.")
    var output: String?

    func validate() throws {
        guard !sets.isEmpty || !merges.isEmpty else {
            throw ValidationError("nothing to evaluate: give --vectors NAME=DIRECTORY or --merged NAME=FILE.")
        }
        guard alpha.allSatisfy(\.isFinite) else { throw ValidationError("--alpha must be finite numbers.") }
    }

    func perform() async throws {
        let inputs = try StudyInputs(lab.directory(), splits: [.test])
        let team = lab.team(for: inputs.base)
        let evaluation = await Evaluation(inputs.test, base: inputs.base, team: team)
        let measurement = SetMeasurement(evaluation, isLinear: !nonlinear)
        var rows = [measurement.pretrained]
        for set in sets {
            try Task.checkCancellation()
            var vectors: [[Float]] = []
            for task in inputs.taskNames {
                vectors.append(try inputs.base.taskVector(of: set.path.appending("\(task).safetensors")))
            }
            rows += await measurement.rows(set.name, vectors, alphas: alpha, negation: negation)
        }
        for merge in merges {
            try Task.checkCancellation()
            let vector = try inputs.base.taskVector(of: merge.checkpoint)
            rows.append(await measurement.merged(merge.name, vector))
        }
        if let output {
            let file = FilePath(output)
            try StudyDirectory(file.removingLastComponent()).write(
                Array(try ResultsFile.encode(rows).utf8), to: file)
        }
        Terminal.print(ResultsText(rows: rows).text)
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

    /// The file itself, or the one of a merge's output directory.
    var checkpoint: FilePath {
        let inside = path.appending("model.safetensors")
        return FileManager.default.fileExists(atPath: inside.string) ? inside : path
    }
}
