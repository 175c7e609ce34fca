import Foundation

/// How a task vector is trained: AdamW without weight decay; a linear warm-up, then a cosine to 0.
public struct FineTuningRecipe: Equatable, Hashable, Sendable, Codable {
    /// The model through which the task vector enters the loss.
    public enum Regime: String, Sendable, Codable, CaseIterable {
        /// f(x, θ0) + J τ: the model's first-order expansion at the base.
        case linear
        /// f(x, θ0 + τ).
        case nonlinear
    }

    /// The model through which the task vector enters the loss.
    public var regime: Regime
    /// Number of steps.
    public var stepCount: Int
    /// Samples in a step.
    public var batchSize: Int
    /// Samples of other tasks in a step, for a penalty that needs inputs.
    public var penaltyBatchSize: Int
    /// The largest learning rate.
    public var learningRate: Double
    /// The share of the steps during which the learning rate rises.
    public var warmUpShare: Double
    /// β: the penalty's weight beside the cross-entropy.
    public var beta: Double
    /// The penalty's gradient enters once in this number of steps, multiplied by the number.
    public var penaltyInterval: Int

    /// A recipe; the defaults are those of the study.
    ///
    /// - Parameters:
    ///   - regime: The model through which the task vector enters the loss.
    ///   - stepCount: Number of steps.
    ///   - batchSize: Samples in a step.
    ///   - penaltyBatchSize: Samples of other tasks in a step; nil for as many as of the task itself.
    ///   - learningRate: The largest learning rate; nil for 1e-3, and 5e-4 for the non-linear regime.
    ///   - warmUpShare: The share of the steps during which the learning rate rises.
    ///   - beta: β.
    ///   - penaltyInterval: The number of steps from one penalty gradient to the next.
    public init(
        regime: Regime = .linear, stepCount: Int = 200, batchSize: Int = 64, penaltyBatchSize: Int? = nil,
        learningRate: Double? = nil, warmUpShare: Double = 0.1, beta: Double = 0, penaltyInterval: Int = 1
    ) {
        self.regime = regime
        self.stepCount = stepCount
        self.batchSize = batchSize
        self.penaltyBatchSize = penaltyBatchSize ?? batchSize
        self.learningRate = learningRate ?? (regime == .linear ? 1e-3 : 5e-4)
        self.warmUpShare = warmUpShare
        self.beta = beta
        self.penaltyInterval = penaltyInterval
    }

    /// The learning rate of a step.
    ///
    /// - Parameter step: From 0.
    /// - Returns: A half cosine from ``learningRate`` to 0 over all steps, times a linear rise over the warm-up.
    public func learningRate(atStep step: Int) -> Double {
        let warmUp = max(1, Int(Double(stepCount) * warmUpShare))
        let rise = min(1, Double(step + 1) / Double(warmUp))
        return learningRate * rise * 0.5 * (1 + cos(.pi * Double(step) / Double(max(1, stepCount))))
    }
}
