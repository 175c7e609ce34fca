import Laboratory
import StudyReport
import SystemPackage

/// Carries out one stage.
struct StageRunner: Sendable {
    let inputs: StudyInputs
    let training: MethodTraining
    let evaluation: VectorSetEvaluation
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
            return StageResult(rows: [evaluation.pretrained])
        case .method(let method, let seed):
            let set = try await training.vectors(method, seed: seed)
            progress.begin("\(method.label), seed \(seed): evaluating")
            defer { progress.add(Study.Stage.evaluationCost) }
            return await measure(set, isLinear: method.recipe.regime == .linear, figures: seed == firstSeed)
        case .merges(let seed):
            defer { progress.add(Study.Stage.evaluationCost) }
            return try await merges(seed: seed)
        case .ablation(let method, let seed):
            let set = try await training.vectors(method, seed: seed)
            progress.begin("\(method.label), seed \(seed): evaluating")
            defer { progress.add(Study.Stage.evaluationCost / 2) }
            let rows = await evaluation.rows(set, alphas: [1])
            return StageResult(rows: rows.filter { $0.regime == .ablation })
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

    private func measure(_ set: VectorSet, isLinear: Bool, figures: Bool) async -> StageResult {
        // A plain forward pass for each α and task is dear; one scale says what subtracting does.
        let negated = isLinear ? AlphaGrid.negation : [1]
        var result = StageResult(
            rows: await evaluation.rows(
                set, isLinear: isLinear, alphas: AlphaGrid.addition, negatedAlphas: negated))
        guard isLinear, figures else { return result }
        let drawn = await evaluation.figures(set, pair: inputs.figurePair)
        result.localisation = [drawn.localisation]
        result.disentanglement = drawn.disentanglement.map { [$0] } ?? []
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
            var row = await evaluation.merged(method.rawValue, vector)
            row.seed = seed
            row.seconds = seconds
            result.rows.append(row)
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
