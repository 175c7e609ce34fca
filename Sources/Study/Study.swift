import Foundation
public import Laboratory
public import StudyReport
public import SystemPackage

/// The whole study: every method and seed, merges, ablations and figures, each stage once.
public struct Study: Sendable {
    /// What to run.
    public struct Options: Sendable {
        /// Seeds of training and of the factors' probes.
        public var seeds: [Int]
        /// Ids of methods, with `merges` and `ablations`; nil for everything.
        public var only: [String]?
        /// Steps of every training.
        public var stepCount: Int

        /// Options; the defaults are the full study with one seed.
        public init(seeds: [Int] = [0], only: [String]? = nil, stepCount: Int = 200) {
            self.seeds = seeds
            self.only = only
            self.stepCount = stepCount
        }

        /// The ids that `only` may name.
        public static let identifiers =
            StudyMethod.all().map(\.id) + [StudyMethod.mergesID, StudyMethod.ablationsID]

        func includes(_ id: String) -> Bool { only?.contains(id) ?? true }
    }

    /// A piece of the study whose result is kept.
    struct Stage: Sendable {
        enum Work: Sendable {
            case pretrained
            case method(StudyMethod, seed: Int)
            case merges(seed: Int)
            case ablation(StudyMethod, seed: Int)
            case penaltyCost
        }

        let name: String
        let work: Work
        let cost: Double
    }

    let inputs: StudyInputs
    let directory: StudyDirectory
    let options: Options
    private let team: PassTeam
    private let daemon: DaemonProgram

    /// A study.
    ///
    /// - Parameters:
    ///   - inputs: The model and the images.
    ///   - directory: Receives everything.
    ///   - options: What to run.
    ///   - team: Computes.
    ///   - daemon: Computes factors, regularizers and merges.
    /// - Throws: ``Laboratory/LaboratoryError/usage(_:)`` for an id that does not exist, or no seed.
    public init(
        _ inputs: StudyInputs, directory: FilePath, options: Options, team: PassTeam, daemon: DaemonProgram
    ) throws(LaboratoryError) {
        for id in options.only ?? [] where !Options.identifiers.contains(id) {
            throw .usage("no method \"\(id)\"; there are \(Options.identifiers.joined(separator: ", ")).")
        }
        guard !options.seeds.isEmpty, Set(options.seeds).count == options.seeds.count else {
            throw .usage("the seeds must be different numbers, at least one.")
        }
        self.inputs = inputs
        self.directory = StudyDirectory(directory)
        self.options = options
        self.team = team
        self.daemon = daemon
    }

    /// Runs what is not done yet and writes the results after every stage.
    ///
    /// - Parameter show: Called often, with what is being done and how long the rest will take.
    /// - Returns: All rows.
    /// - Throws: `LaboratoryError`, or `CancellationError`; what is finished stays, and the next run goes on from it.
    public func run(
        show: @escaping @Sendable (StudyProgress.Report) -> Void
    ) async throws -> [StudyRow] {
        try directory.claim(settings)
        let stages = stages
        var results = try stages.map { try directory.result(ofStage: $0.name) }
        let total = stages.reduce(0) { $0 + $1.cost }
        let done = zip(stages, results).reduce(0) { $0 + ($1.1 == nil ? 0 : $1.0.cost) }
        let progress = StudyProgress(total: total, done: done, show: show)
        let library = FactorLibrary(inputs: inputs, directory: directory, team: team, daemon: daemon)
        let training = MethodTraining(
            inputs: inputs, directory: directory, team: team, library: library, progress: progress)
        let evaluation = VectorSetEvaluation(
            test: await Evaluation(inputs.test, base: inputs.base, team: team),
            validation: await Evaluation(inputs.validation, base: inputs.base, team: team))
        let runner = StageRunner(
            inputs: inputs, training: training, evaluation: evaluation, library: library, progress: progress,
            firstSeed: options.seeds[0], stepCount: options.stepCount)
        for (index, stage) in stages.enumerated() where results[index] == nil {
            let result = try await runner.run(stage)
            try directory.keep(result, ofStage: stage.name)
            results[index] = result
            try write(results.compactMap { $0 })
        }
        try write(results.compactMap { $0 })
        return results.compactMap { $0 }.flatMap(\.rows)
    }

    /// The stages in their order: a seed is finished before the next begins, so that results come early.
    var stages: [Stage] {
        let taskCount = Double(inputs.taskNames.count)
        let firstSeed = options.seeds[0]
        var stages = [Stage(name: "pretrained", work: .pretrained, cost: 0.1)]
        for seed in options.seeds {
            for method in StudyMethod.all(stepCount: options.stepCount) where options.includes(method.id) {
                stages.append(
                    Stage(
                        name: "seed\(seed).\(method.fileName)", work: .method(method, seed: seed),
                        cost: taskCount * method.relativeCost + Stage.evaluationCost))
            }
            if options.includes(StudyMethod.mergesID) {
                let cost = taskCount * (options.includes("linear") ? 0 : 1) + Stage.evaluationCost
                stages.append(Stage(name: "seed\(seed).merges", work: .merges(seed: seed), cost: cost))
            }
        }
        if options.includes(StudyMethod.ablationsID) {
            for method in StudyMethod.ablations(stepCount: options.stepCount) {
                stages.append(
                    Stage(
                        name: "seed\(firstSeed).\(method.fileName)", work: .ablation(method, seed: firstSeed),
                        cost: taskCount * method.relativeCost + Stage.evaluationCost / 2))
            }
        }
        stages.append(Stage(name: "penalty-cost", work: .penaltyCost, cost: 0.2))
        return stages
    }

    private var settings: [String: String] {
        [
            "base_sha256": inputs.base.digest.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined(),
            "tasks": inputs.taskNames.joined(separator: ", "),
            "steps": "\(options.stepCount)",
        ]
    }

    /// Writes `results.json`, `figures.json` and `results.html`.
    private func write(_ results: [StageResult]) throws {
        let rows = results.flatMap(\.rows)
        let figures = StudyFigures(
            tasks: inputs.taskNames, disentanglement: results.flatMap(\.disentanglement),
            interference: results.flatMap(\.interference), localisation: results.flatMap(\.localisation),
            penaltyCost: results.flatMap(\.penaltyCost))
        try directory.writeResults(rows, figures, description)
    }
}

extension Study.Stage {
    /// An evaluation beside the training of one task.
    static let evaluationCost = 2.0
}
