import Laboratory
import ReferenceModel
import StudyReport
import TaskArithmetic

/// Runs one stage.
struct StageRunner: Sendable {
    let inputs: StudyInputs
    let training: MethodTraining
    let evaluation: VectorSetEvaluation
    let library: FactorLibrary
    let leaks: LeakStudy
    let progress: StudyProgress
    let stepCount: Int

    /// The merges that the study compares.
    static let merges: [MergeMethod] = [.taskArithmetic, .weightedAverage, .kfac]
    /// The id of the merge that the lab computes itself.
    static let drawnMerge = "jacobian-merge"
    /// The mixture that each task shares for it, and the images that are drawn from each.
    static let mixture = (size: InputMixture.Settings(componentCount: 256, rank: 8), drawnCount: 2048)
    /// Its iterations.
    static let mergeIterationCount = 24

    /// The result of the stage.
    ///
    /// - Throws: `LaboratoryError`, `CancellationError`.
    func run(_ stage: StudyStage) async throws -> StageResult {
        switch stage.work {
        case .pretrained:
            progress.begin("zero-shot accuracy")
            defer { progress.add(stage.cost) }
            return StageResult(rows: [evaluation.pretrained])
        case .method(let method, let seed):
            return StageResult(rows: try await rows(of: method, seed: seed))
        case .contender(let contender, let seed):
            return try await result(of: contender, seed: seed)
        case .figures(let method, let seed):
            return try await figures(of: method, seed: seed)
        case .interference(let method, let seed):
            return try await interference(of: method, seed: seed)
        case .merges(let method, let seed):
            return StageResult(rows: try await merges(of: method, seed: seed))
        case .ablation(let method, let seed):
            let set = try await vectors(of: method, seed: seed, then: "evaluating")
            defer { progress.add(StudyStage.evaluationCost) }
            let rows = try await evaluation.rows(set, alphas: [1])
            return StageResult(rows: rows.filter { $0.regime == .ablation })
        case .leaks(let seed):
            progress.begin("what can be read of images, seed \(seed)")
            defer { progress.add(stage.cost) }
            return StageResult(leaks: try await leaks.figures(seed: seed))
        case .penaltyCost:
            progress.begin("cost of the penalty")
            defer { progress.add(stage.cost) }
            return StageResult(penaltyCost: PenaltyCostMeasurement.run(inputs.base).map(PenaltyCost.init))
        }
    }

    /// A method's vectors; they are trained when they are missing.
    private func vectors(of method: StudyMethod, seed: Int, then activity: String) async throws -> VectorSet {
        let set = try await training.vectors(method, seed: seed)
        progress.begin("\(method.label), seed \(seed): \(activity)")
        return set
    }

    private func rows(of method: StudyMethod, seed: Int) async throws -> [StudyRow] {
        let set = try await vectors(of: method, seed: seed, then: "evaluating")
        defer { progress.add(StudyStage.evaluationCost) }
        let isLinear = method.recipe.regime == .linear
        // A plain forward pass for each α and task is costly. One scale shows the effect of subtraction.
        return try await evaluation.rows(
            set, isLinear: isLinear, alphas: AlphaGrid.addition, negatedAlphas: isLinear ? AlphaGrid.negation : [1])
    }

    /// Measures the β that is best on validation images at α = 1; the test images are read for this one alone.
    private func result(of contender: Contender, seed: Int) async throws -> StageResult {
        var sets: [VectorSet] = []
        var accuracies: [Double] = []
        for beta in contender.betas {
            let method = contender.method(beta: beta, stepCount: stepCount)
            let set = try await vectors(of: method, seed: seed, then: "choosing β")
            sets.append(set)
            accuracies.append(try await evaluation.validated(set))
        }
        defer { progress.add(StudyStage.evaluationCost) }
        // Of equal accuracies the smallest β wins, because it costs the own task least.
        guard let largest = accuracies.max(), let best = accuracies.firstIndex(of: largest) else {
            return StageResult()
        }
        var chosen = sets[best]
        chosen.setting = nil
        var choice = ContenderChoice(
            contender: contender.id, seed: seed, betas: contender.betas, accuracies: accuracies, chosen: best)
        let others = inputs.taskNames.count - 1
        choice.storedElementCount = contender.penalty
            .elementCount(FormSize(inputs.base.layout), taskCount: others, contender.source)
        choice.largeElementCount = contender.penalty
            .elementCount(.largeEncoder, taskCount: others, contender.source)
        return StageResult(
            rows: try await evaluation.rows(chosen, alphas: AlphaGrid.addition, negatedAlphas: AlphaGrid.negation),
            choice: choice)
    }

    private func figures(of method: StudyMethod, seed: Int) async throws -> StageResult {
        let set = try await vectors(of: method, seed: seed, then: "where vectors act")
        defer { progress.add(StudyStage.evaluationCost) }
        let drawn = await evaluation.figures(set, pair: inputs.figurePair)
        return StageResult(
            disentanglement: drawn.disentanglement.map { [$0] } ?? [], localisation: [drawn.localisation])
    }

    private func merges(of method: StudyMethod, seed: Int) async throws -> [StudyRow] {
        let set = try await vectors(of: method, seed: seed, then: "factors for merges")
        defer { progress.add(StudyStage.evaluationCost) }
        // The factors come before the timing, because a merge takes finished factors.
        _ = try await library.factors(FactorSource(), seed: seed)
        var own: [Double] = []
        for (task, vector) in set.vectors.enumerated() {
            own.append(await evaluation.test.ownAccuracy(ofTask: task, vector))
        }
        var rows: [StudyRow] = []
        for merge in Self.merges {
            progress.begin("merge \(merge.name), seed \(seed)")
            let start = ContinuousClock.now
            let job = try await library.merge(
                merge, of: training.checkpoints(method, seed: seed), name: merge.name, FactorSource(), seed: seed)
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            var row = await evaluation.merged(merge.name, try inputs.base.taskVector(of: job.merged), own: own)
            row.seed = seed
            row.seconds = seconds
            rows.append(row)
        }
        progress.begin("merge \(Self.drawnMerge), seed \(seed)")
        let start = ContinuousClock.now
        let vector = try await jacobianMerge(of: set, seed: seed)
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        var row = await evaluation.merged(Self.drawnMerge, vector, own: own)
        row.seed = seed
        row.seconds = seconds
        return rows + [row]
    }

    /// Merges by what the vectors do on images that are drawn from each task's own mixture.
    private func jacobianMerge(of set: VectorSet, seed: Int) async throws -> [Float] {
        let mixtures = try await training.mixtures.mixtures(Self.mixture.size)
        let count = Self.mixture.drawnCount
        let members = zip(set.vectors, mixtures).map { vector, mixture in
            JacobianMerge.Member(
                vector: vector,
                tokens: inputs.base.embedding.tokens(of: mixture.images(count: count, seed: seed)), sampleCount: count)
        }
        let factors = try await training.forms.factors(FactorSource(), seed: seed)
        return try await JacobianMerge(members, factors: factors, base: inputs.base)
            .vector(iterationCount: Self.mergeIterationCount, on: training.team)
    }

    private func interference(of method: StudyMethod, seed: Int) async throws -> StageResult {
        _ = try await vectors(of: method, seed: seed, then: "interference")
        defer { progress.add(StudyStage.evaluationCost) }
        let job = try await library.merge(
            .taskArithmetic, of: training.checkpoints(method, seed: seed), name: "interference-\(method.id)",
            FactorSource(), seed: seed)
        guard let found = try CurvatureReport(reading: job.report).interference, found.vectors == inputs.taskNames,
            found.tasks == inputs.taskNames
        else {
            throw LaboratoryError.invalidReport(
                file: job.report, problem: "has no interference matrix of the study's tasks")
        }
        let values = found.normalized.map { row in row.map { $0 ?? .nan } }
        return StageResult(interference: [InterferenceMatrix(method: method.id, seed: seed, values: values)])
    }
}

extension PenaltyCost {
    init(_ cost: PenaltyCostMeasurement.Cost) {
        self.init(
            taskCount: cost.taskCount, accumulatedMicroseconds: cost.accumulatedMicroseconds,
            optimalMicroseconds: cost.optimalMicroseconds, perTaskMicroseconds: cost.perTaskMicroseconds)
    }
}
