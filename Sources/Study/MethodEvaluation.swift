import Laboratory
import StudyReport

/// Measures a method's vectors: each alone, their sum, and each subtracted, over α.
struct MethodEvaluation: Sendable {
    let test: Evaluation
    let validation: Evaluation

    private var taskCount: Int { test.tasks.count }

    /// Rows of a linear method, with its figures if wanted.
    func measure(_ method: StudyMethod, seed: Int, _ trained: MethodTraining.Vectors, figures: Bool) async
        -> StageResult
    {
        var responses: [LinearResponse] = []
        var validationResponses: [LinearResponse] = []
        for vector in trained.vectors {
            responses.append(await test.response(to: vector))
            validationResponses.append(await validation.response(to: vector))
        }
        let own = responses.indices.map { test.accuracy(ofTask: $0, responses[$0]) }
        let rows = MethodRows(method, seed: seed, own: own, seconds: trained.seconds, test.tasks.map(\.name))
        let sum = LinearResponse.sum(responses.map { (1, $0) })
        let validationSum = LinearResponse.sum(validationResponses.map { (1, $0) })
        let best = AlphaGrid.best(
            AlphaGrid.addition.map { ($0, mean(validation.accuracies(validationSum, alpha: $0))) })
        var result = StageResult()
        result.rows = [rows.individual]
        for alpha in AlphaGrid.addition {
            result.rows.append(rows.addition(alpha, test.accuracies(sum, alpha: alpha), isBest: alpha == best))
        }
        for alpha in AlphaGrid.negation {
            result.rows.append(rows.negation(alpha, responses.map { test.accuracies($0, alpha: -alpha) }))
        }
        guard figures else { return result }
        let scores = responses.map(test.localisation)
        result.localisation = [
            InterferenceMatrix(method: method.id, seed: seed, values: normalized(scores))
        ]
        if let map = disentanglement(method, seed: seed, responses) { result.disentanglement = [map] }
        return result
    }

    /// Rows of a method whose vectors act through f(x, θ0 + τ).
    func measureNonlinear(_ method: StudyMethod, seed: Int, _ trained: MethodTraining.Vectors) async -> StageResult {
        var own: [Double] = []
        var subtracted: [[Double]] = []
        for (index, vector) in trained.vectors.enumerated() {
            own.append(await test.ownAccuracy(ofTask: index, vector, isLinear: false))
            subtracted.append(await test.nonlinearAccuracies(vector, alpha: -1))
        }
        let rows = MethodRows(method, seed: seed, own: own, seconds: trained.seconds, test.tasks.map(\.name))
        let sum = trained.vectors.dropFirst().reduce(trained.vectors[0]) { zip($0, $1).map(+) }
        var measured: [(alpha: Double, accuracy: Double)] = []
        for alpha in AlphaGrid.addition {
            measured.append((alpha, mean(await validation.nonlinearAccuracies(sum, alpha: alpha))))
        }
        let best = AlphaGrid.best(measured)
        var result = StageResult()
        result.rows = [rows.individual]
        for alpha in AlphaGrid.addition {
            let accuracies = await test.nonlinearAccuracies(sum, alpha: alpha)
            result.rows.append(rows.addition(alpha, accuracies, isBest: alpha == best))
        }
        result.rows.append(rows.negation(1, subtracted))
        return result
    }

    /// Sum of vectors at α = 1, for an ablation.
    func measureAblation(_ method: StudyMethod, seed: Int, _ trained: MethodTraining.Vectors) async -> StageResult {
        var responses: [LinearResponse] = []
        for vector in trained.vectors { responses.append(await test.response(to: vector)) }
        let own = responses.indices.map { test.accuracy(ofTask: $0, responses[$0]) }
        let rows = MethodRows(method, seed: seed, own: own, seconds: trained.seconds, test.tasks.map(\.name))
        var result = StageResult()
        result.rows = [rows.addition(1, test.accuracies(LinearResponse.sum(responses.map { (1, $0) })), isBest: false)]
        return result
    }

    // MARK: - Figures

    /// Each row divided by the column's own value: 1 on the diagonal.
    private func normalized(_ scores: [[Double]]) -> [[Double]] {
        scores.map { row in
            row.indices.map { scores[$0][$0] > 0 ? row[$0] / scores[$0][$0] : 0 }
        }
    }

    /// The plane of the first task and the one in the middle of the list.
    private func disentanglement(
        _ method: StudyMethod, seed: Int, _ responses: [LinearResponse]
    ) -> DisentanglementMap? {
        guard taskCount > 1 else { return nil }
        let (first, second) = (0, max(1, taskCount / 2 - 1))
        let errors = AlphaGrid.plane.map { alpha1 in
            AlphaGrid.plane.map { alpha2 in
                test.disentanglementError((first, responses[first], alpha1), (second, responses[second], alpha2))
            }
        }
        return DisentanglementMap(
            method: method.id, seed: seed, firstTask: test.tasks[first].name, secondTask: test.tasks[second].name,
            alphas: AlphaGrid.plane, errors: errors)
    }
}

/// The mean, 0 of nothing.
func mean(_ values: [Double]) -> Double { values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count) }
