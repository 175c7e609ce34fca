import Laboratory
import StudyReport

/// Makes the rows of one method and seed from accuracies by task.
struct MethodRows: Sendable {
    private let method: StudyMethod
    private let seed: Int
    private let own: [Double]
    private let seconds: Double
    private let tasks: [String]

    init(_ method: StudyMethod, seed: Int, own: [Double], seconds: Double, _ tasks: [String]) {
        self.method = method
        self.seed = seed
        self.own = own
        self.seconds = seconds
        self.tasks = tasks
    }

    /// Each vector alone on its own task.
    var individual: StudyRow { row(.individual, alpha: 1, own) }

    /// The sum of all vectors, times α, on every task.
    func addition(_ alpha: Double, _ accuracies: [Double], isBest: Bool) -> StudyRow {
        var row = row(method.setting == nil ? .addition : .ablation, alpha: alpha, accuracies)
        row.normalizedAccuracy = mean(zip(accuracies, own).map { $1 > 0 ? 100 * $0 / $1 : 0 })
        row.isBestAlpha = isBest
        return row
    }

    /// Each vector subtracted, times α: `accuracies` holds, for each vector, the accuracies of all tasks.
    func negation(_ alpha: Double, _ accuracies: [[Double]]) -> StudyRow {
        let targets = accuracies.indices.map { accuracies[$0][$0] }
        var row = row(.negation, alpha: alpha, targets)
        row.control = mean(
            accuracies.indices.map { subtracted in
                mean(accuracies[subtracted].indices.filter { $0 != subtracted }.map { accuracies[subtracted][$0] })
            })
        return row
    }

    private func row(_ regime: StudyRegime, alpha: Double, _ accuracies: [Double]) -> StudyRow {
        StudyRow(
            method: method.id, regime: regime, seed: seed, alpha: alpha, beta: method.recipe.beta,
            accuracy: mean(accuracies), ownCeiling: mean(own),
            perTask: Dictionary(uniqueKeysWithValues: zip(tasks, accuracies)), seconds: seconds,
            setting: method.setting)
    }
}
