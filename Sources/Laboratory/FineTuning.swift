/// The result of a training.
public struct FineTunedVector: Sendable {
    /// τ, in the layout's order.
    public let taskVector: [Float]
    /// The mean cross-entropy of each step's batch.
    public let losses: [Double]
    /// Wall time of the steps.
    public let seconds: Double
}

/// Trains the task vector of one task.
///
/// Each epoch is a seeded shuffle, cut into batches. The result depends on the seed, the recipe and the data, not on
/// the number of threads: gradients of fixed shards are added in order.
public struct FineTuning: Sendable {
    /// The task's name, for errors and for the purpose of the seed.
    public let task: String
    /// The pre-trained model.
    public let base: BaseModel
    /// The task's frozen head.
    public let head: ClassHead
    /// `[samples, positions, width]`.
    public let tokens: [Float]
    /// `[samples]`.
    public let labels: [Int32]
    /// How to train.
    public let recipe: FineTuningRecipe
    /// The penalty that keeps the vector from disturbing other tasks.
    public let penalty: TrainingPenalty
    /// The study's seed.
    public let seed: Int

    /// A training.
    ///
    /// - Parameters:
    ///   - task: The task's name.
    ///   - base: The pre-trained model.
    ///   - head: The task's frozen head.
    ///   - tokens: `[samples, positions, width]`, from the base's embedding.
    ///   - labels: `[samples]`, each below the head's number of classes.
    ///   - recipe: How to train.
    ///   - penalty: The penalty that keeps the vector from disturbing other tasks.
    ///   - seed: The study's seed.
    public init(
        task: String, base: BaseModel, head: ClassHead, tokens: [Float], labels: [Int32], recipe: FineTuningRecipe,
        penalty: TrainingPenalty, seed: Int
    ) {
        self.task = task
        self.base = base
        self.head = head
        self.tokens = tokens
        self.labels = labels
        self.recipe = recipe
        self.penalty = penalty
        self.seed = seed
    }

    /// Trains.
    ///
    /// - Parameters:
    ///   - team: Computes the passes.
    ///   - progress: Called after each step with the number of steps done.
    /// - Returns: The task vector and the losses.
    /// - Throws: ``LaboratoryError/diverged(task:step:stepCount:learningRate:beta:)`` when a loss, or the last step's
    ///   vector, is not finite, or `CancellationError`.
    public func run(
        on team: PassTeam, progress: @Sendable (Int) -> Void = { _ in }
    ) async throws -> FineTunedVector {
        let clock = ContinuousClock()
        let start = clock.now
        var step = TrainingStep(self, team)
        var batches = BatchOrder(
            sampleCount: labels.count, batchSize: recipe.batchSize, seed: seed, purpose: "batches of \(task)")
        var losses: [Double] = []
        for number in 0..<recipe.stepCount {
            try Task.checkCancellation()
            let loss = await step.take(number, samples: batches.next())
            // After the last step no loss would show the fault.
            guard loss.isFinite, number + 1 < recipe.stepCount || step.vector.allSatisfy(\.isFinite) else {
                throw LaboratoryError.diverged(
                    task: task, step: number + 1, stepCount: recipe.stepCount, learningRate: recipe.learningRate,
                    beta: recipe.beta)
            }
            losses.append(loss)
            progress(number + 1)
        }
        return FineTunedVector(
            taskVector: step.vector, losses: losses, seconds: (clock.now - start) / .seconds(1))
    }
}

/// Samples in the order of seeded shuffles, one epoch after the other.
struct BatchOrder: Sendable {
    private var random: SeededRandom
    private var order: [Int]
    private var position: Int
    private let batchSize: Int

    init(sampleCount: Int, batchSize: Int, seed: Int, purpose: String) {
        random = SeededRandom(seed: seed, purpose: purpose)
        order = Array(0..<sampleCount)
        position = sampleCount
        self.batchSize = min(batchSize, sampleCount)
    }

    /// The next batch's samples; a rest of an epoch that is smaller than a batch is dropped.
    mutating func next() -> [Int] {
        if position + batchSize > order.count {
            order.shuffle(using: &random)
            position = 0
        }
        defer { position += batchSize }
        return Array(order[position..<position + batchSize])
    }
}
