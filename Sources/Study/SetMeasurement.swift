public import Laboratory
public import StudyReport

/// Measures sets of vectors that come from anywhere, for `kfaclab evaluate`.
public struct SetMeasurement: Sendable {
    private let evaluation: Evaluation
    private let isLinear: Bool

    /// A measurement.
    ///
    /// - Parameters:
    ///   - evaluation: The tasks and their images.
    ///   - isLinear: Whether vectors act through f + α J τ, and not through f(x, θ0 + α τ).
    public init(_ evaluation: Evaluation, isLinear: Bool) {
        self.evaluation = evaluation
        self.isLinear = isLinear
    }

    /// The base alone.
    public var pretrained: StudyRow {
        row("pretrained", .pretrained, evaluation.baseAccuracies, alpha: nil)
    }

    /// A checkpoint that holds all tasks.
    public func merged(_ name: String, _ vector: [Float]) async -> StudyRow {
        row(name, .merge, await accuracies(vector, alphas: [1])[0], alpha: 1)
    }

    /// Each vector on its own task, their sum over α, and, if wanted, each subtracted.
    ///
    /// - Parameters:
    ///   - name: Names the set in the rows.
    ///   - vectors: One for each task, in the evaluation's order.
    ///   - alphas: Scales of the sum and of what is subtracted.
    ///   - negation: Whether to subtract, too.
    /// - Returns: The rows, in this order.
    public func rows(_ name: String, _ vectors: [[Float]], alphas: [Double], negation: Bool) async -> [StudyRow] {
        var own: [Double] = []
        var subtracted: [[[Double]]] = []
        for (index, vector) in vectors.enumerated() {
            own.append(await evaluation.ownAccuracy(ofTask: index, vector, isLinear: isLinear))
            if negation { subtracted.append(await accuracies(vector, alphas: alphas.map { -$0 })) }
        }
        let sum = vectors.dropFirst().reduce(vectors.first ?? []) { zip($0, $1).map(+) }
        var rows = [row(name, .individual, own, alpha: 1)]
        for (alpha, accuracies) in zip(alphas, await accuracies(sum, alphas: alphas)) {
            var row = row(name, .addition, accuracies, alpha: alpha)
            row.ownCeiling = mean(own)
            row.normalizedAccuracy = mean(zip(accuracies, own).map { $1 > 0 ? 100 * $0 / $1 : 0 })
            rows.append(row)
        }
        guard negation else { return rows }
        for (place, alpha) in alphas.enumerated() {
            let targets = subtracted.indices.map { subtracted[$0][place][$0] }
            var row = row(name, .negation, targets, alpha: alpha)
            row.control = mean(
                subtracted.indices.map { own in
                    let accuracies = subtracted[own][place]
                    return mean(accuracies.indices.filter { $0 != own }.map { accuracies[$0] })
                })
            rows.append(row)
        }
        return rows
    }

    private func accuracies(_ vector: [Float], alphas: [Double]) async -> [[Double]] {
        if isLinear {
            let response = await evaluation.response(to: vector)
            return alphas.map { evaluation.accuracies(response, alpha: $0) }
        }
        var measured: [[Double]] = []
        for alpha in alphas { measured.append(await evaluation.nonlinearAccuracies(vector, alpha: alpha)) }
        return measured
    }

    private func row(_ name: String, _ regime: StudyRegime, _ accuracies: [Double], alpha: Double?) -> StudyRow {
        StudyRow(
            method: name, regime: regime, alpha: alpha, accuracy: mean(accuracies),
            perTask: Dictionary(uniqueKeysWithValues: zip(evaluation.tasks.map(\.name), accuracies)))
    }
}
