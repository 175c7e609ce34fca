import Identifiers
public import Laboratory
public import StudyReport
public import SystemPackage

/// The whole study: every method and seed, merges, ablations and figures; each stage runs once.
public struct Study: Sendable {
    /// What to run.
    public struct Options: Sendable {
        /// The seeds of training and of the factors' probes.
        public var seeds: [Int]
        /// The ids of methods, with `merges`, `ablations` and `leaks`; nil for everything.
        public var only: [String]?
        /// Penalties beside the methods.
        public var contenders: [Contender]
        /// Steps of every training.
        public var stepCount: Int
        /// The version of the program that runs the study, for the page.
        public var version: String

        /// Options; the defaults are the full study with one seed.
        public init(
            seeds: [Int] = [0], only: [String]? = nil, contenders: [Contender] = [], stepCount: Int = 200,
            version: String = ""
        ) {
            self.seeds = seeds
            self.only = only
            self.contenders = contenders
            self.stepCount = stepCount
            self.version = version
        }

        /// The ids that `only` may name.
        public static let identifiers =
            StudyMethod.all().map(\.id) + [StudyMethod.mergesID, StudyMethod.ablationsID, StudyMethod.leaksID]

        func includes(_ id: String) -> Bool { only?.contains(id) ?? true }
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
    ///   - directory: The directory of all files.
    ///   - options: What to run.
    ///   - team: Computes the passes.
    ///   - daemon: Computes factors, regularizers and merges.
    /// - Throws: ``Laboratory/LaboratoryError/usage(_:)`` for an id that does not exist, no seed, or a contender that
    ///   is there twice.
    public init(
        _ inputs: StudyInputs, directory: FilePath, options: Options, team: PassTeam, daemon: DaemonProgram
    ) throws(LaboratoryError) {
        for id in options.only ?? [] where !Options.identifiers.contains(id) {
            throw .usage("no method \"\(id)\"; there are \(Options.identifiers.joined(separator: ", ")).")
        }
        guard !options.seeds.isEmpty, Set(options.seeds).count == options.seeds.count else {
            throw .usage("the seeds must be different numbers, at least one.")
        }
        var seen: Set<String> = []
        for contender in options.contenders where !seen.insert(contender.id).inserted {
            throw .usage("the contender \(contender.id) is there twice. Name each once, with every β to choose from.")
        }
        self.inputs = inputs
        self.directory = StudyDirectory(directory)
        self.options = options
        self.team = team
        self.daemon = daemon
    }

    /// Runs the missing stages, and writes the results after every stage.
    ///
    /// - Parameter show: Called often, with the current activity and the remaining time.
    /// - Returns: All rows.
    /// - Throws: `LaboratoryError`, or `CancellationError`. Finished stages are kept, and the next run continues from
    ///   them.
    public func run(
        show: @escaping @Sendable (StudyProgress.Report) -> Void
    ) async throws -> [StudyRow] {
        try directory.claim(settings)
        let stages = StudyStages(self).chosen
        var isDone: [Bool] = []
        for stage in stages { isDone.append(try stage.isDone(by: directory.result(ofStage: stage.name))) }
        let total = stages.reduce(0) { $0 + $1.cost }
        let done = zip(stages, isDone).reduce(0) { $0 + ($1.1 ? $1.0.cost : 0) }
        let progress = StudyProgress(total: total, done: done, show: show)
        let runner = await runner(progress)
        for (stage, isDone) in zip(stages, isDone) where !isDone {
            try Task.checkCancellation()
            progress.beginStage(cost: stage.cost)
            try directory.keep(try await runner.run(stage), ofStage: stage.name)
            try write()
        }
        return try write()
    }

    private func runner(_ progress: StudyProgress) async -> StageRunner {
        let library = FactorLibrary(inputs: inputs, directory: directory, team: team, daemon: daemon)
        let training = MethodTraining(
            inputs: inputs, directory: directory, team: team, library: library,
            forms: FormLibrary(inputs: inputs, team: team), mixtures: MixtureLibrary(inputs: inputs),
            progress: progress)
        let evaluation = VectorSetEvaluation(
            test: await Evaluation(inputs.test, base: inputs.base, team: team),
            validation: await Evaluation(inputs.validation, base: inputs.base, team: team))
        return StageRunner(
            inputs: inputs, training: training, evaluation: evaluation, library: library,
            leaks: LeakStudy(inputs: inputs, team: team), progress: progress, stepCount: options.stepCount)
    }

    /// The settings that every run in this directory must share.
    private var settings: [String: String] {
        var settings = [
            "base_sha256": "\(BlobDigest(sha256: inputs.base.digest))",
            "data_sha256": "\(BlobDigest(sha256: inputs.dataDigest))",
            "heads_sha256": "\(BlobDigest(sha256: inputs.headsDigest))",
            "tasks": inputs.taskNames.joined(separator: ", "),
            "steps": "\(options.stepCount)", "merge damping": "\(FactorLibrary.mergeDamping)",
        ]
        let methods =
            StudyMethod.all(stepCount: options.stepCount) + StudyMethod.ablations(stepCount: options.stepCount)
        for method in methods { settings["method \(method.label)"] = method.definition }
        return settings
    }

    /// Writes `results.json`, `figures.json` and `results.html` from all results in this directory.
    ///
    /// Results of earlier runs are included.
    @discardableResult
    private func write() throws -> [StudyRow] {
        let known = StudyStages(self).all(seeds: options.seeds + directory.finishedSeeds)
        let results = try known.compactMap { try directory.result(ofStage: $0.name) } + directory.contenderResults()
        let rows = results.flatMap(\.rows)
        let choices = results.compactMap(\.choice)
        let figures = StudyFigures(
            tasks: inputs.taskNames, disentanglement: results.flatMap(\.disentanglement),
            interference: results.flatMap(\.interference), localisation: results.flatMap(\.localisation),
            penaltyCost: results.flatMap(\.penaltyCost), storage: storage(of: rows, choices: choices),
            leaks: results.contains { $0.leaks != nil } ? results.flatMap { $0.leaks ?? [] } : nil)
        try directory.writeResults(rows, figures, description(of: rows, choices: choices))
        return rows
    }
}
