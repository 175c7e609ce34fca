import StudyReport

/// Makes the rows of a set of vectors from accuracies by task.
struct VectorSetRows: Sendable {
    private let set: VectorSet
    private let own: [Double]
    private let tasks: [String]

    init(_ set: VectorSet, own: [Double], tasks: [String]) {
        self.set = set
        self.own = own
        self.tasks = tasks
    }

    /// Each vector alone on its own task.
    var individual: StudyRow { row(.individual, alpha: 1, own) }

    /// The sum of all vectors, times α, on every task.
    func addition(_ alpha: Double, _ accuracies: [Double], isBest: Bool) -> StudyRow {
        var row = row(set.setting == nil ? .addition : .ablation, alpha: alpha, accuracies)
        row.normalizedAccuracy = Self.normalized(accuracies, by: own)
        row.isBestAlpha = isBest
        return row
    }

    /// Each vector subtracted, times α: `accuracies` holds, for each vector, the accuracies of all tasks.
    func negation(_ alpha: Double, _ accuracies: [[Double]], isBest: Bool = false) -> StudyRow {
        let targets = accuracies.indices.map { accuracies[$0][$0] }
        var row = row(.negation, alpha: alpha, targets)
        row.control = mean(
            accuracies.indices.map { subtracted in
                mean(accuracies[subtracted].indices.filter { $0 != subtracted }.map { accuracies[subtracted][$0] })
            })
        row.isBestAlpha = isBest
        return row
    }

    /// The mean over tasks of the accuracy, in percent of the task's own accuracy.
    static func normalized(_ accuracies: [Double], by own: [Double]) -> Double {
        mean(zip(accuracies, own).map { $1 > 0 ? 100 * $0 / $1 : 0 })
    }

    private func row(_ regime: StudyRegime, alpha: Double, _ accuracies: [Double]) -> StudyRow {
        StudyRow(
            method: set.method, regime: regime, seed: set.seed, alpha: alpha, beta: set.beta,
            accuracy: mean(accuracies), ownCeiling: mean(own),
            perTask: Dictionary(uniqueKeysWithValues: zip(tasks, accuracies)), seconds: set.seconds,
            setting: set.setting)
    }
}
