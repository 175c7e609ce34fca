/// The constants of one step of Adam.
///
/// Source: Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019 for the form without weight decay in the gradient.
public struct AdamStep: Equatable, Sendable {
    /// The step's learning rate.
    public let learningRate: Float
    /// β1, of the gradient's running mean.
    public let beta1: Float
    /// β2, of the squared gradient's running mean.
    public let beta2: Float
    /// ε, added to the root.
    public let epsilon: Float
    /// 1 / (1 − β1^k).
    public let meanCorrection: Float
    /// 1 / (1 − β2^k).
    public let squareCorrection: Float

    /// The constants of the k-th step.
    ///
    /// - Parameters:
    ///   - number: k, from 1.
    ///   - learningRate: The step's learning rate.
    ///   - beta1: β1.
    ///   - beta2: β2.
    ///   - epsilon: ε.
    public init(
        number: Int, learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8
    ) {
        precondition(number >= 1, "steps count from 1")
        self.learningRate = Float(learningRate)
        self.beta1 = Float(beta1)
        self.beta2 = Float(beta2)
        // The correction uses the rounded β: 1 − β2 in fp32 differs from 0.001 by a share of 1.3e-5, and the two must
        // match.
        self.epsilon = Float(epsilon)
        meanCorrection = Float(1 / (1 - power(Double(self.beta1), number)))
        squareCorrection = Float(1 / (1 - power(Double(self.beta2), number)))
    }
}

/// base^exponent by squaring.
private func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, square, rest) = (1.0, base, exponent)
    while rest > 0 {
        if !rest.isMultiple(of: 2) { result *= square }
        square *= square
        rest /= 2
    }
    return result
}
