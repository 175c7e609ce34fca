import LinearAlgebra

/// A task's frozen head: logits = weights · feature.
public struct ClassHead: Equatable, Sendable {
    /// `[classes, features]`, with the logits' scale included.
    public let weights: [Float]
    /// Number of classes.
    public let classCount: Int
    /// Length of a feature.
    public let featureWidth: Int

    /// A head.
    ///
    /// - Parameters:
    ///   - weights: `[classes, features]`.
    ///   - classCount: Number of classes.
    ///   - featureWidth: Length of a feature.
    public init(weights: [Float], classCount: Int, featureWidth: Int) {
        precondition(weights.count == classCount * featureWidth, "a head of its own shape")
        self.weights = weights
        self.classCount = classCount
        self.featureWidth = featureWidth
    }

    private var block: MatrixBlock { MatrixBlock(rows: classCount, columns: featureWidth) }

    /// Computes the logits of features.
    ///
    /// - Parameters:
    ///   - features: `[samples, features]`.
    ///   - samples: Number of samples.
    ///   - logits: Receives `[samples, classes]`.
    func logits(of features: [Float], samples: Int, into logits: inout [Float]) {
        BlockProduct.multiply(
            features, MatrixBlock(rows: samples, columns: featureWidth), .none, weights, block, .transposed,
            into: &logits, MatrixBlock(rows: samples, columns: classCount))
    }

    /// Computes the gradient at the features from the gradient at the logits.
    ///
    /// - Parameters:
    ///   - logitGradient: `[samples, classes]`.
    ///   - samples: Number of samples.
    ///   - featureGradient: Receives `[samples, features]`.
    func featureGradient(of logitGradient: [Float], samples: Int, into featureGradient: inout [Float]) {
        BlockProduct.multiply(
            logitGradient, MatrixBlock(rows: samples, columns: classCount), .none, weights, block, .none,
            into: &featureGradient, MatrixBlock(rows: samples, columns: featureWidth))
    }

    /// The percentage of samples whose largest logit is at their label.
    ///
    /// - Parameters:
    ///   - features: `[samples, features]`.
    ///   - labels: `[samples]`.
    /// - Returns: 0 to 100.
    public func accuracy(of features: [Float], labels: [Int32]) -> Double {
        guard !labels.isEmpty else { return 0 }
        let right = zip(classes(of: features), labels).count { $0 == Int($1) }
        return 100 * Double(right) / Double(labels.count)
    }

    /// The class with the largest logit of each sample.
    ///
    /// - Parameter features: `[samples, features]`.
    /// - Returns: One class for each sample; the first of equal logits. -1, which is not a class, when a logit is NaN,
    ///   because a comparison with NaN would choose a class by its position.
    public func classes(of features: [Float]) -> [Int] {
        let samples = features.count / featureWidth
        var logits = [Float](repeating: 0, count: samples * classCount)
        self.logits(of: features, samples: samples, into: &logits)
        return (0..<samples).map { sample in
            let own = logits[sample * classCount..<(sample + 1) * classCount]
            guard !own.contains(where: \.isNaN) else { return -1 }
            var best = 0
            for index in 1..<max(1, classCount)
            where logits[sample * classCount + index] > logits[sample * classCount + best] { best = index }
            return best
        }
    }
}
