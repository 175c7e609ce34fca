import Laboratory
import StudyReport
import SystemPackage

/// Carries out one stage.
struct StageRunner: Sendable {
    let inputs: StudyInputs
    let training: MethodTraining
    let evaluation: MethodEvaluation
    let library: FactorLibrary
    let progress: StudyProgress
    /// The seed whose vectors give the figures.
    let firstSeed: Int
    let stepCount: Int

    /// What the stage measured.
    ///
    /// - Throws: `LaboratoryError`, `CancellationError`.
    func run(_ stage: Study.Stage) async throws -> StageResult {
        switch stage.work {
        case .pretrained:
            progress.begin("zero-shot accuracy")
            defer { progress.add(stage.cost) }
            return pretrained
        case .method(let method, let seed):
            let trained = try await training.vectors(method, seed: seed)
            progress.begin("\(method.label), seed \(seed): evaluating")
            defer { progress.add(Study.Stage.evaluationCost) }
            guard method.recipe.regime == .linear else {
                return await evaluation.measureNonlinear(method, seed: seed, trained)
            }
            return await evaluation.measure(method, seed: seed, trained, figures: seed == firstSeed)
        case .merges(let seed):
            defer { progress.add(Study.Stage.evaluationCost) }
            return try await merges(seed: seed)
        case .ablation(let method, let seed):
            let trained = try await training.vectors(method, seed: seed)
            progress.begin("\(method.label), seed \(seed): evaluating")
            defer { progress.add(Study.Stage.evaluationCost / 2) }
            return await evaluation.measureAblation(method, seed: seed, trained)
        case .penaltyCost:
            progress.begin("cost of the penalty")
            defer { progress.add(stage.cost) }
            var result = StageResult()
            result.penaltyCost = PenaltyCostMeasurement.run(inputs.base).map { cost in
                PenaltyCost(
                    taskCount: cost.taskCount, accumulatedMicroseconds: cost.accumulatedMicroseconds,
                    optimalMicroseconds: cost.optimalMicroseconds, perTaskMicroseconds: cost.perTaskMicroseconds)
            }
            return result
        }
    }

    private var pretrained: StageResult {
        let accuracies = evaluation.test.baseAccuracies
        var result = StageResult()
        result.rows = [
            StudyRow(
                method: "pretrained", regime: .pretrained, accuracy: mean(accuracies),
                perTask: Dictionary(uniqueKeysWithValues: zip(inputs.taskNames, accuracies)))
        ]
        return result
    }

    /// Every merge that the daemon has, of the unregularised linear vectors, with their interference; and, where there
    /// are such vectors, the interference of those trained under the accumulated regularizer.
    private func merges(seed: Int) async throws -> StageResult {
        let methods = StudyMethod.all(stepCount: stepCount)
        var result = StageResult()
        guard let linear = methods.first(where: { $0.id == "linear" }) else { return result }
        if !training.hasVectors(linear, seed: seed) { _ = try await training.vectors(linear, seed: seed) }
        let checkpoints = training.checkpoints(linear, seed: seed)
        for method in CurvatureJob.Method.allCases {
            progress.begin("merge \(method.rawValue), seed \(seed)")
            let start = ContinuousClock.now
            let job = try await library.merge(
                method, of: checkpoints, name: method.rawValue, FactorSource(), seed: seed)
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            let vector = try inputs.base.taskVector(of: job.merged)
            let accuracies = evaluation.test.accuracies(await evaluation.test.response(to: vector))
            result.rows.append(
                StudyRow(
                    method: method.rawValue, regime: .merge, seed: seed, alpha: 1, accuracy: mean(accuracies),
                    perTask: Dictionary(uniqueKeysWithValues: zip(inputs.taskNames, accuracies)), seconds: seconds))
            if method == .taskArithmetic, seed == firstSeed {
                result.interference += try matrix(of: job, "linear", seed: seed)
            }
        }
        if seed == firstSeed, let tak = methods.first(where: { $0.id == "tak-accumulated" }),
            training.hasVectors(tak, seed: seed)
        {
            let job = try await library.merge(
                .taskArithmetic, of: training.checkpoints(tak, seed: seed), name: "tak-accumulated", FactorSource(),
                seed: seed)
            result.interference += try matrix(of: job, tak.id, seed: seed)
        }
        return result
    }

    private func matrix(of job: CurvatureJob, _ method: String, seed: Int) throws -> [InterferenceMatrix] {
        guard let interference = try CurvatureReport(reading: job.report).interference else { return [] }
        let values = interference.normalized.map { row in row.map { $0 ?? 0 } }
        return [InterferenceMatrix(method: method, seed: seed, values: values)]
    }
}
