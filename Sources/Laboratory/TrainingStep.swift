import ReferenceModel
import RowKernels

/// The state of a training between steps: the task vector, the optimiser's means, and every buffer of a step.
struct TrainingStep: Sendable {
    private let training: FineTuning
    private let team: PassTeam
    private let penaltyLane: PenaltyLane
    private var otherSamples: BatchOrder
    /// τ.
    private(set) var vector: [Float]
    private var mean: [Float]
    private var square: [Float]
    private var gradient: [Float]
    /// θ0, or θ0 + τ in the non-linear regime.
    private var parameters: [Float]

    init(_ training: FineTuning, _ team: PassTeam) {
        self.training = training
        self.team = team
        let count = training.base.layout.count
        penaltyLane = PenaltyLane(training.penalty, count: count)
        var otherCount = 0
        if case .jacobian(_, let sampleCount) = training.penalty { otherCount = sampleCount }
        otherSamples = BatchOrder(
            sampleCount: otherCount, batchSize: training.recipe.penaltyBatchSize, seed: training.seed,
            purpose: "others of \(training.task)")
        vector = [Float](repeating: 0, count: count)
        mean = vector
        square = vector
        gradient = vector
        parameters = training.base.parameters
    }

    /// Takes a step.
    ///
    /// - Parameters:
    ///   - number: From 0.
    ///   - samples: The batch.
    /// - Returns: The batch's mean cross-entropy before the step.
    mutating func take(_ number: Int, samples: [Int]) async -> Double {
        let loss = await computeGradient(number, samples)
        // Only here no pass holds τ, so it can be changed in place.
        RowKernels.adamStep(
            &vector, mean: &mean, square: &square, gradient: gradient,
            step: AdamStep(number: number + 1, learningRate: training.recipe.learningRate(atStep: number)))
        return loss
    }

    /// Computes the whole gradient of a step, penalty included; returns the batch's mean cross-entropy.
    private mutating func computeGradient(_ number: Int, _ samples: [Int]) async -> Double {
        let recipe = training.recipe
        let penalized = recipe.beta > 0 && number.isMultiple(of: recipe.penaltyInterval)
        let scale = penalized ? Float(recipe.beta * Double(recipe.penaltyInterval)) : 0
        if recipe.regime == .nonlinear {
            for index in parameters.indices {
                parameters[index] = training.base.parameters[index] + vector[index]
            }
        }
        let (direction, lane) = (vector, penaltyLane)
        async let penaltyGradient = penalized ? lane.gradient(at: direction, scale: scale) : []
        for index in gradient.indices { gradient[index] = 0 }
        let loss = await addLossGradient(samples)
        if penalized, case .jacobian(let tokens, _) = training.penalty {
            await addJacobianGradient(of: tokens, otherSamples.next(), scale: scale)
        }
        add(await penaltyGradient)
        return loss
    }

    /// Adds the mean cross-entropy's gradient over the batch.
    private mutating func addLossGradient(_ samples: [Int]) async -> Double {
        let (training, parameters, direction) = (training, parameters, vector)
        let isLinear = training.recipe.regime == .linear
        let scale = 1 / Float(samples.count)
        let shards = await team.map(samples.count) { workspace, shard, range in
            workspace.load(samples[range], from: training.tokens)
            workspace.pass.forward(parameters)
            if isLinear { workspace.pass.tangent(parameters, along: direction) }
            let labels = samples[range].map { training.labels[$0] }
            let loss = workspace.setLossGradient(
                training.head, labels: labels, includingTangent: isLinear, scale: scale)
            return (loss, workspace.parameterGradient(parameters, shard: shard))
        }
        var loss = 0.0
        for shard in shards {
            loss += shard.0
            add(shard.1)
        }
        return loss / Double(samples.count)
    }

    /// Adds scale · ∇ mean ‖J τ‖² over the samples of other tasks.
    private mutating func addJacobianGradient(of tokens: [Float], _ samples: [Int], scale: Float) async {
        let (parameters, direction) = (training.base.parameters, vector)
        let factor = 2 * scale / Float(samples.count)
        let shards = await team.map(samples.count) { workspace, shard, range in
            workspace.load(samples[range], from: tokens)
            workspace.pass.forward(parameters)
            workspace.pass.tangent(parameters, along: direction)
            workspace.setTangentGradient(scale: factor)
            return workspace.parameterGradient(parameters, shard: shard)
        }
        for shard in shards { add(shard) }
    }

    private mutating func add(_ part: [Float]) {
        guard !part.isEmpty else { return }
        for index in gradient.indices { gradient[index] += part[index] }
    }
}
