public import ReferenceModel
import RowKernels

/// The buffers of one thread that computes shards: a pass, and a gradient for each of its shards.
public struct ShardWorkspace: Sendable {
    /// The pass; it holds the shard's samples after ``load(_:from:)``.
    public var pass: TransformerPass
    /// One gradient for each shard; the gradients of a step are kept until they are added in order.
    private var gradients: [Int: [Float]] = [:]
    private var logits: [Float] = []
    private var featureGradient: [Float]

    init(_ layout: ParameterLayout, sampleCapacity: Int) {
        pass = TransformerPass(layout, sampleCapacity: sampleCapacity)
        featureGradient = [Float](repeating: 0, count: sampleCapacity * layout.shape.featureWidth)
    }

    /// Loads the shard's samples.
    ///
    /// - Parameters:
    ///   - samples: The samples' numbers.
    ///   - tokens: `[all samples, positions, width]`.
    public mutating func load(_ samples: some Collection<Int>, from tokens: [Float]) {
        pass.load(samples, from: tokens)
    }

    /// Prepares the cotangent of the cross-entropy.
    ///
    /// - Parameters:
    ///   - head: The head that computes the logits.
    ///   - labels: `[samples]`.
    ///   - includingTangent: Whether to take the logits of f + J τ.
    ///   - scale: Factor of the gradient.
    /// - Returns: The sum of the samples' cross-entropies.
    mutating func setLossGradient(
        _ head: ClassHead, labels: [Int32], includingTangent: Bool, scale: Float
    ) -> Double {
        let count = labels.count * head.featureWidth
        let (features, tangents) = (pass.features, pass.featureTangents)
        for index in 0..<count {
            featureGradient[index] = includingTangent ? features[index] + tangents[index] : features[index]
        }
        if logits.count < labels.count * head.classCount {
            logits = [Float](repeating: 0, count: pass.sampleCapacity * head.classCount)
        }
        head.logits(of: featureGradient, samples: labels.count, into: &logits)
        let loss = RowKernels.crossEntropy(&logits, labels: labels, columns: head.classCount, scale: scale)
        head.featureGradient(of: logits, samples: labels.count, into: &featureGradient)
        return loss
    }

    /// Prepares scale · J τ as the cotangent: half the gradient of Σ ‖J τ‖² at the features.
    mutating func setTangentGradient(scale: Float) {
        let tangents = pass.featureTangents
        for index in 0..<pass.sampleCount * pass.layout.shape.featureWidth {
            featureGradient[index] = scale * tangents[index]
        }
    }

    /// Jᵀ of the prepared cotangent.
    ///
    /// - Parameters:
    ///   - parameters: The point of the derivative.
    ///   - shard: The shard whose buffer holds the gradient. The same shard's next gradient overwrites it.
    /// - Returns: The gradient, in the layout's order.
    mutating func parameterGradient(_ parameters: [Float], shard: Int) -> [Float] {
        var gradient = gradients.removeValue(forKey: shard) ?? [Float](repeating: 0, count: pass.layout.count)
        for index in gradient.indices { gradient[index] = 0 }
        pass.cotangent(parameters, of: featureGradient, gradient: &gradient)
        gradients[shard] = gradient
        return gradient
    }
}
