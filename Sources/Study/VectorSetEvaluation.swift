public import Laboratory
public import StudyReport

/// Measures sets of vectors: each alone, their sum, and each subtracted, over α.
public struct VectorSetEvaluation: Sendable {
    /// The images that are reported.
    public let test: Evaluation
    /// The images on which α is chosen; nil where none is chosen.
    public let validation: Evaluation?

    /// An evaluation.
    ///
    /// - Parameters:
    ///   - test: The images that are reported.
    ///   - validation: The images on which α is chosen; nil where none is chosen.
    public init(test: Evaluation, validation: Evaluation? = nil) {
        self.test = test
        self.validation = validation
    }

    private var tasks: [String] { test.tasks.map(\.name) }

    /// The base alone.
    public var pretrained: StudyRow { row("pretrained", .pretrained, test.baseAccuracies) }

    /// A checkpoint that holds all tasks.
    ///
    /// - Parameters:
    ///   - method: How it was merged.
    ///   - vector: Its difference from the base.
    ///   - isLinear: Whether it acts through f + J τ, and not through f(x, θ0 + τ).
    /// - Returns: Its row at α = 1.
    public func merged(_ method: String, _ vector: [Float], isLinear: Bool = true) async -> StudyRow {
        var row = row(method, .merge, await measure(vector, alphas: [1], on: test, isLinear: isLinear)[0])
        row.alpha = 1
        return row
    }

    /// Each vector on its own task, their sum over α, and each subtracted over α.
    ///
    /// - Parameters:
    ///   - set: The vectors.
    ///   - isLinear: Whether they act through f + α J τ, and not through f(x, θ0 + α τ).
    ///   - alphas: Scales of the sum; the best on the validation images, if there are any, is marked.
    ///   - negatedAlphas: Scales of what is subtracted.
    /// - Returns: The rows, in this order.
    public func rows(
        _ set: VectorSet, isLinear: Bool = true, alphas: [Double], negatedAlphas: [Double] = []
    ) async -> [StudyRow] {
        var own: [Double] = []
        var subtracted: [[[Double]]] = []
        for (index, vector) in set.vectors.enumerated() {
            own.append(await test.ownAccuracy(ofTask: index, vector, isLinear: isLinear))
            let negated = negatedAlphas.map { -$0 }
            subtracted.append(await measure(vector, alphas: negated, on: test, isLinear: isLinear))
        }
        let rows = VectorSetRows(set, own: own, tasks: tasks)
        let sum = set.vectors.dropFirst().reduce(set.vectors.first ?? []) { zip($0, $1).map(+) }
        let best = await bestAlpha(sum, alphas, isLinear: isLinear)
        let measured = await measure(sum, alphas: alphas, on: test, isLinear: isLinear)
        return [rows.individual]
            + zip(alphas, measured).map { rows.addition($0, $1, isBest: $0 == best) }
            + negatedAlphas.indices.map { place in
                rows.negation(negatedAlphas[place], subtracted.map { $0[place] })
            }
    }

    /// Where the vectors of a set act, and how two of them disturb each other.
    ///
    /// - Parameters:
    ///   - set: The vectors.
    ///   - pair: The tasks of the plane (α1, α2); nil for none.
    /// - Returns: The localisation scores, each divided by the column's own, and the plane.
    public func figures(
        _ set: VectorSet, pair: (first: Int, second: Int)?
    ) async -> (localisation: InterferenceMatrix, disentanglement: DisentanglementMap?) {
        var responses: [LinearResponse] = []
        for vector in set.vectors { responses.append(await test.response(to: vector)) }
        let scores = responses.map(test.localisation)
        let normalized = scores.map { row in
            row.indices.map { scores[$0][$0] > 0 ? row[$0] / scores[$0][$0] : 0 }
        }
        let localisation = InterferenceMatrix(method: set.method, seed: set.seed, values: normalized)
        return (localisation, pair.map { disentanglement(set, responses, $0) })
    }

    // MARK: - Parts

    /// Accuracies by task for each α.
    private func measure(
        _ vector: [Float], alphas: [Double], on evaluation: Evaluation, isLinear: Bool
    ) async -> [[Double]] {
        guard !alphas.isEmpty else { return [] }
        if isLinear {
            let response = await evaluation.response(to: vector)
            return alphas.map { evaluation.accuracies(response, alpha: $0) }
        }
        var measured: [[Double]] = []
        for alpha in alphas { measured.append(await evaluation.nonlinearAccuracies(vector, alpha: alpha)) }
        return measured
    }

    private func bestAlpha(_ sum: [Float], _ alphas: [Double], isLinear: Bool) async -> Double? {
        guard let validation, alphas.count > 1 else { return nil }
        let measured = await measure(sum, alphas: alphas, on: validation, isLinear: isLinear)
        return AlphaGrid.best(zip(alphas, measured).map { ($0, mean($1)) })
    }

    private func disentanglement(
        _ set: VectorSet, _ responses: [LinearResponse], _ pair: (first: Int, second: Int)
    ) -> DisentanglementMap {
        let errors = AlphaGrid.plane.map { alpha1 in
            AlphaGrid.plane.map { alpha2 in
                test.disentanglementError(
                    (pair.first, responses[pair.first], alpha1), (pair.second, responses[pair.second], alpha2))
            }
        }
        return DisentanglementMap(
            method: set.method, seed: set.seed, firstTask: tasks[pair.first], secondTask: tasks[pair.second],
            alphas: AlphaGrid.plane, errors: errors)
    }

    private func row(_ method: String, _ regime: StudyRegime, _ accuracies: [Double]) -> StudyRow {
        StudyRow(
            method: method, regime: regime, accuracy: mean(accuracies),
            perTask: Dictionary(uniqueKeysWithValues: zip(tasks, accuracies)))
    }
}

/// The mean, 0 of nothing.
func mean(_ values: [Double]) -> Double { values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count) }
