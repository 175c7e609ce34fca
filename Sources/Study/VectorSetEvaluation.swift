public import Laboratory
public import StudyReport

/// Measures sets of vectors over α: each vector alone, their sum, and each subtracted.
public struct VectorSetEvaluation: Sendable {
    /// The images for the reported numbers.
    public let test: Evaluation
    /// The images for choosing α; nil when α is not chosen.
    public let validation: Evaluation?

    /// An evaluation.
    ///
    /// - Parameters:
    ///   - test: The images for the reported numbers.
    ///   - validation: The images for choosing α; nil when α is not chosen.
    public init(test: Evaluation, validation: Evaluation? = nil) {
        self.test = test
        self.validation = validation
    }

    private var tasks: [String] { test.tasks.map(\.name) }

    /// The row of the base alone.
    public var pretrained: StudyRow { row("pretrained", .pretrained, test.baseAccuracies) }

    /// The row of a checkpoint that holds all tasks.
    ///
    /// - Parameters:
    ///   - method: The merge method.
    ///   - vector: The checkpoint's difference from the base.
    ///   - own: Accuracies of the merged models on their own tasks, if known. Normalised accuracy is relative to them.
    ///   - isLinear: Whether the vector acts through f + J τ. Otherwise it acts through f(x, θ0 + τ).
    /// - Returns: The row at α = 1.
    public func merged(
        _ method: String, _ vector: [Float], own: [Double] = [], isLinear: Bool = true
    ) async -> StudyRow {
        let accuracies =
            isLinear ? test.accuracies(await test.response(to: vector)) : await test.nonlinearAccuracies(vector)
        var row = row(method, .merge, accuracies)
        row.alpha = 1
        if !own.isEmpty {
            row.ownCeiling = mean(own)
            row.normalizedAccuracy = VectorSetRows.normalized(accuracies, by: own)
        }
        return row
    }

    /// Measures each vector on its own task, their sum over α, and each subtracted over α.
    ///
    /// If there are validation images, the best α of the sum and of the subtraction is chosen on them and marked.
    ///
    /// - Parameters:
    ///   - set: The vectors.
    ///   - isLinear: Whether they act through f + α J τ. Otherwise they act through f(x, θ0 + α τ).
    ///   - alphas: Scales of the sum.
    ///   - negatedAlphas: Scales of the subtracted vectors.
    /// - Returns: The rows, in this order.
    /// - Throws: `CancellationError`.
    public func rows(
        _ set: VectorSet, isLinear: Bool = true, alphas: [Double], negatedAlphas: [Double] = []
    ) async throws -> [StudyRow] {
        var own: [Double] = []
        for (index, vector) in set.vectors.enumerated() {
            try Task.checkCancellation()
            own.append(await test.ownAccuracy(ofTask: index, vector, isLinear: isLinear))
        }
        let rows = VectorSetRows(set, own: own, tasks: tasks)
        let sum = Self.sum(of: set)
        let summed = try await measure(sum, alphas: alphas, on: test, isLinear: isLinear)
        var best: Double?
        if let validation, alphas.count > 1 {
            let validated = try await measure(sum, alphas: alphas, on: validation, isLinear: isLinear)
            best = AlphaGrid.best(zip(alphas, validated).map { ($0, mean($1)) })
        }
        return [rows.individual] + zip(alphas, summed).map { rows.addition($0, $1, isBest: $0 == best) }
            + (try await negation(set, rows, alphas: negatedAlphas, isLinear: isLinear))
    }

    /// The mean accuracy of the sum at α = 1 on validation images, of linearised models; 0 without such images.
    ///
    /// - Throws: `CancellationError`.
    func validated(_ set: VectorSet) async throws -> Double {
        guard let validation else { return 0 }
        return mean(try await measure(Self.sum(of: set), alphas: [1], on: validation, isLinear: true)[0])
    }

    private static func sum(of set: VectorSet) -> [Float] {
        set.vectors.dropFirst().reduce(set.vectors.first ?? []) { zip($0, $1).map(+) }
    }

    private func negation(
        _ set: VectorSet, _ rows: VectorSetRows, alphas: [Double], isLinear: Bool
    ) async throws -> [StudyRow] {
        guard !alphas.isEmpty else { return [] }
        let measured = try await subtracted(set, alphas, on: test, isLinear: isLinear)
        var best: Double?
        if let validation, alphas.count > 1 {
            let validated = zip(alphas, try await subtracted(set, alphas, on: validation, isLinear: isLinear))
            let threshold = StudyRow.controlShare * mean(validation.baseAccuracies)
            let admitted = validated.map { rows.negation($0, $1) }.filter { ($0.control ?? 0) >= threshold }
            best = admitted.min { $0.accuracy < $1.accuracy }?.alpha
        }
        return zip(alphas, measured).map { rows.negation($0, $1, isBest: $0 == best) }
    }

    /// The accuracies of all tasks without a vector, for each α and vector.
    private func subtracted(
        _ set: VectorSet, _ alphas: [Double], on evaluation: Evaluation, isLinear: Bool
    ) async throws -> [[[Double]]] {
        var byVector: [[[Double]]] = []
        for vector in set.vectors {
            byVector.append(try await measure(vector, alphas: alphas.map { -$0 }, on: evaluation, isLinear: isLinear))
        }
        return alphas.indices.map { place in byVector.map { $0[place] } }
    }

    /// Measures where the vectors of a set act, and how two of them disturb each other.
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
    ) async throws -> [[Double]] {
        try Task.checkCancellation()
        if isLinear {
            let response = await evaluation.response(to: vector)
            return alphas.map { evaluation.accuracies(response, alpha: $0) }
        }
        var measured: [[Double]] = []
        for alpha in alphas {
            try Task.checkCancellation()
            measured.append(await evaluation.nonlinearAccuracies(vector, alpha: alpha))
        }
        return measured
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
